package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"crosstalk/models"
)

// read makes an endpoint of a function that needs no body.
func (d *door) read(serve func(who models.Principal, q *query) (any, error)) handler {
	return func(c *fiber.Ctx, who models.Principal) error {
		out, err := serve(who, &query{from: fiberHead{c}})
		if err != nil {
			return err
		}
		return answer(c, out)
	}
}

// write makes an endpoint of a function that takes a JSON object as body.
func write[In any](_ *door, serve func(who models.Principal, in *In, q *query) (any, error)) handler {
	return func(c *fiber.Ctx, who models.Principal) error {
		in := new(In)
		if err := decode(c, in); err != nil {
			return err
		}
		out, err := serve(who, in, &query{from: fiberHead{c}})
		if err != nil {
			return err
		}
		return answer(c, out)
	}
}

// appender is an answer that knows how to encode itself, for those that are asked for all day.
type appender interface{ AppendJSON(dst []byte) []byte }

// answer sends out as JSON. The response takes the bytes over, uncopied.
func answer(c *fiber.Ctx, out any) error {
	var b []byte
	if a, ok := out.(appender); ok {
		b = a.AppendJSON(nil)
	} else {
		var buf bytes.Buffer
		e := json.NewEncoder(&buf)
		e.SetEscapeHTML(false)
		if err := e.Encode(out); err != nil {
			return err
		}
		b = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	}
	send(c.Context(), fiber.StatusOK, b)
	return nil
}

// decode reads the body into in, a pointer to a struct. Unknown fields are passed over, of a field that
// comes twice the last one counts, and half of a surrogate pair becomes U+FFFD.
func decode(c *fiber.Ctx, in any) error {
	body, err := object(c)
	if err != nil {
		return err
	}
	return unmarshal(body, in)
}

// object returns the body, which is Fiber's, if it looks like a JSON object.
func object(c *fiber.Ctx) ([]byte, error) {
	h := &c.Request().Header
	if e := h.ContentEncoding(); len(e) > 0 && !bytes.EqualFold(e, []byte("identity")) {
		return nil, fiber.NewError(fiber.StatusUnsupportedMediaType, "Content-Encoding is not supported: send the body uncompressed")
	}
	kind, _, _ := bytes.Cut(h.ContentType(), []byte(";"))
	if !bytes.EqualFold(bytes.TrimSpace(kind), []byte("application/json")) {
		return nil, fiber.NewError(fiber.StatusUnsupportedMediaType, "send the body as JSON, with Content-Type: application/json")
	}
	body := c.BodyRaw()
	if !utf8.Valid(body) {
		return nil, models.Errorf(models.Invalid, "the body is not valid UTF-8")
	}
	if body = bytes.TrimLeft(body, " \t\r\n"); len(body) == 0 || body[0] != '{' {
		return nil, models.Errorf(models.Invalid, "the body must be a JSON object")
	}
	return body, nil
}

// unmarshal reads an object into in, and tells in our words what is wrong with it.
func unmarshal(body []byte, in any) error {
	err := json.Unmarshal(body, in)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kind, _, _ := strings.Cut(wrong.Value, " ")
		want := "string"
		if wrong.Type.Kind() != reflect.String {
			want = "whole number"
		}
		return models.Errorf(models.Invalid, "%s must be a %s, not %.40s", wrong.Field, want, kind)
	}
	if err != nil {
		return models.Errorf(models.Invalid, "the body is not JSON: %v", err)
	}
	return nil
}

// number is models.Int in a body: told apart by encoding/json, its errors name the field.
type number struct{ models.Int }

func (n *number) UnmarshalJSON(b []byte) error {
	if err := n.Int.UnmarshalJSON(b); err != nil {
		return &json.UnmarshalTypeError{Value: string(b), Type: reflect.TypeFor[int64]()}
	}
	return nil
}

// query reads what stands in the head of a request. All it returns is copied. The first thing that is
// wrong is kept in err, so that an endpoint asks for all it wants and looks once.
type query struct {
	from head
	err  error
}

// head is that of a request, on either engine. Absent is empty.
type head interface {
	param(name string) string // of the path, still encoded
	value(name string) string // of the query, decoded
	field(name string) string // of the header
}

// fiberHead copies what it returns: Fiber uses its memory again for the next request.
type fiberHead struct{ *fiber.Ctx }

func (h fiberHead) param(name string) string { return strings.Clone(h.Params(name)) }
func (h fiberHead) value(name string) string { return string(h.Context().QueryArgs().Peek(name)) }
func (h fiberHead) field(name string) string { return string(h.Request().Header.Peek(name)) }

func (q *query) wrong(err error) {
	if q.err == nil {
		q.err = err
	}
}

// text returns a parameter; absent and empty are the same.
func (q *query) text(name string) string {
	s := q.from.value(name)
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		q.wrong(models.Errorf(models.Invalid, "%s is not valid UTF-8, or contains U+0000", name))
		return ""
	}
	return s
}

// required is text that must not be blank.
func (q *query) required(name string) string {
	s := q.text(name)
	if strings.TrimSpace(s) == "" {
		q.wrong(models.Errorf(models.Invalid, "%s is required", name))
	}
	return s
}

// path returns a parameter of the path, decoded once.
func (q *query) path(name string) string {
	s, err := url.PathUnescape(q.from.param(name))
	if err != nil {
		q.wrong(models.Errorf(models.Invalid, "%s in the path is not percent-encoded as it must be", name))
	}
	return s
}

func (q *query) channel() string {
	ch, err := models.ParseChannel(q.path("channel"))
	if err != nil {
		q.wrong(err)
	}
	return ch
}

// instance returns a parameter that names an instance, empty for none.
func (q *query) instance(name string) string {
	s := q.text(name)
	if strings.TrimSpace(s) == "" {
		return ""
	}
	id, err := models.ParseInstance(name, s)
	if err != nil {
		q.wrong(err)
	}
	return id
}

// id returns the message id in the path.
func (q *query) id() int64 {
	n, err := models.ParseInt("id", q.path("id"))
	if err != nil || !n.Set {
		q.wrong(models.Errorf(models.Invalid, "the id in the path must be the number of a message"))
	}
	return n.Value
}

// position returns a parameter that says where reading starts, nil for none.
func (q *query) position(name string) *int64 {
	n, err := models.ParseInt(name, q.text(name))
	if err != nil {
		q.wrong(err)
	}
	n.Value = max(n.Value, 0)
	return n.Ptr()
}

// clamped returns a parameter moved between least and most; what is absent or no number is otherwise.
func (q *query) clamped(name string, otherwise, least, most float64) float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(q.from.value(name)), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(n) {
		return otherwise
	}
	return min(max(n, least), most)
}

func (q *query) limit(otherwise, most int) int {
	return int(q.clamped("limit", float64(otherwise), 1, float64(most)))
}

// part is a stretch of a text, in bytes.
type part struct{ offset, length int }

func (q *query) part() part {
	return part{
		offset: int(q.clamped("offset", 0, 0, models.MaxData)),
		length: int(q.clamped("length", models.MaxData, 1, models.MaxData)),
	}
}

// of cuts the part out of whole, on rune boundaries. Next is where the rest begins, 0 if nothing remains.
func (p part) of(whole string) (piece string, next int) {
	tail := models.Cut(whole, p.offset, len(whole))
	piece = models.Cut(tail, 0, p.length)
	if len(piece) == len(tail) {
		return piece, 0
	}
	return piece, len(whole) - len(tail) + len(piece)
}
