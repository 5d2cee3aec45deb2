package rest

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"crosstalk/models"
	"crosstalk/models/flat"
)

// Limits of what one answer lists.
const (
	newestMessages = 20 // the default without after_id
	mostMessages   = 200
	foundMessages  = 10 // the default of a search
	longestWait    = 30 * time.Second
)

type messageBody struct {
	Channel        string             `json:"channel"`
	Sender         string             `json:"sender"`
	Content        string             `json:"content"`
	MessageType    models.MessageType `json:"message_type"`
	InReplyTo      number             `json:"in_reply_to"`
	IdempotencyKey string             `json:"idempotency_key"`
}

// flat reads a body as package flat does, or not at all.
func (in *messageBody) flat(body []byte) bool {
	o := flat.Read(body)
	for o.Next() {
		switch string(o.Name) {
		case "channel":
			in.Channel = o.Text()
		case "sender":
			in.Sender = o.Text()
		case "content":
			in.Content = o.Text()
		case "message_type":
			in.MessageType = models.MessageType(o.Text())
		case "in_reply_to":
			in.InReplyTo = number{models.Int{Value: o.Whole(), Set: true}}
		case "idempotency_key":
			in.IdempotencyKey = o.Text()
		}
	}
	return o.Taken()
}

// readMessage returns what the body says.
func readMessage(c *fiber.Ctx) (messageBody, error) {
	body, err := object(c)
	if err != nil {
		return messageBody{}, err
	}
	var in messageBody
	if in.flat(body) {
		return in, nil
	}
	other := new(messageBody)
	err = unmarshal(body, other)
	return *other, err
}

// sendMessage is an endpoint like those that write makes, written out: it is asked for all day, and leaves no garbage
// but what of the message is kept.
func (d *door) sendMessage(c *fiber.Ctx, who models.Principal) error {
	in, err := readMessage(c)
	if err != nil {
		return err
	}
	r, err := d.publish(who, &in, fiberHead{c})
	if err != nil {
		return err
	}
	send(c.Context(), fiber.StatusOK, nil)
	out := &c.Context().Response
	out.SwapBody(receipt(r).AppendJSON(out.SwapBody(nil)[:0])) // what it needs it keeps for the connection's next one
	return nil
}

func (d *door) publish(who models.Principal, in *messageBody, h fiberHead) (models.Receipt, error) {
	if in.Sender == "" {
		in.Sender = who.Person
	}
	if in.IdempotencyKey == "" {
		in.IdempotencyKey = h.field("Idempotency-Key")
	}
	draft, err := models.ParseDraft(models.Draft{
		Channel:        in.Channel,
		Sender:         in.Sender,
		Content:        in.Content,
		Type:           in.MessageType,
		InReplyTo:      in.InReplyTo.Value,
		IdempotencyKey: in.IdempotencyKey,
	})
	if err != nil {
		return models.Receipt{}, err
	}
	r, err := d.Hub.Publish(context.Background(), who, draft)
	if err == nil {
		d.Meter.Accept(r.Duplicate)
	}
	return r, err
}

// receipt is what the sender of a message reads.
type receipt models.Receipt

// AppendJSON relies on a channel's name and a type needing no escapes.
func (r receipt) AppendJSON(dst []byte) []byte {
	dst = slices.Grow(dst, 128+len(r.Channel))
	dst = strconv.AppendInt(append(dst, `{"ok":true,"id":`...), r.ID, 10)
	dst = append(append(dst, `,"channel":"`...), r.Channel...)
	dst = append(append(dst, `","message_type":"`...), r.Type...)
	dst = strconv.AppendInt(append(dst, `","seq":`...), r.Seq, 10)
	dst = strconv.AppendBool(append(dst, `,"duplicate":`...), r.Duplicate)
	if r.Notice != "" {
		notice, _ := json.Marshal(r.Notice) // of a string it cannot fail
		dst = append(append(dst, `,"notice":`...), notice...)
	}
	return append(dst, '}')
}

func (d *door) messages(who models.Principal, q *query) (any, error) {
	ask := models.Query{
		Channel:  q.channel(),
		After:    q.position("after_id"),
		Before:   q.position("before_id"),
		Instance: q.instance("instance_id"),
		Limit:    q.limit(newestMessages, mostMessages),
		MaxBytes: q.maxBytes(),
	}
	wait := time.Duration(q.clamped("wait", 0, 0, longestWait.Seconds()) * float64(time.Second))
	if ask.After != nil {
		ask.Limit = q.limit(mostMessages, mostMessages)
	} else if wait > 0 {
		q.wrong(models.Errorf(models.Invalid, "wait needs after_id: pass the next_after_id of your last answer, or 0"))
	}
	if q.err != nil {
		return nil, q.err
	}
	d.Hub.Seen(who, ask.Instance)
	ctx := context.Background()
	if wait > 0 {
		var stop func()
		ctx, stop = d.Gate.Bind(ctx, who)
		defer stop()
	}
	p, err := d.Hub.Messages(ctx, who, ask, wait)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		d.Meter.Deliver(len(p.Messages))
	}
	return page{p}, err
}

// page is the answer to a reader of a channel.
type page struct{ models.Page }

// AppendJSON takes a third of encoding/json's time (BenchmarkEncode).
func (p page) AppendJSON(dst []byte) []byte {
	dst = append(appendMessages(append(dst, `{"messages":`...), p.Messages), `,"last_id":`...)
	if p.LastID == nil {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, *p.LastID, 10)
	}
	dst = strconv.AppendInt(append(dst, `,"next_after_id":`...), p.NextAfterID, 10)
	dst = strconv.AppendBool(append(dst, `,"more":`...), p.More)
	dst = strconv.AppendBool(append(dst, `,"recovered":`...), p.Recovered)
	return append(strconv.AppendQuote(append(dst, `,"bus_id":`...), p.BusID), '}')
}

// list is the answer to a search. More is set when max_bytes left some out.
type list struct {
	messages []models.Message
	more     bool
}

func (l list) AppendJSON(dst []byte) []byte {
	dst = appendMessages(append(dst, `{"messages":`...), l.messages)
	if l.more {
		dst = append(dst, `,"more":true`...)
	}
	return append(dst, '}')
}

// thread is a message with the replies to it.
type thread struct {
	parent  models.Message
	replies list
}

func (t thread) AppendJSON(dst []byte) []byte {
	dst = append(t.parent.AppendJSON(append(dst, `{"parent":`...)), `,"replies":`...)
	dst = appendMessages(dst, t.replies.messages)
	if t.replies.more {
		dst = append(dst, `,"more":true`...)
	}
	return append(dst, '}')
}

// maxBytes returns the bound of the encoded answer, 0 for none.
func (q *query) maxBytes() int {
	return int(q.clamped("max_bytes", 0, 1, math.MaxInt32))
}

// fit keeps the first messages that fit into maxBytes, if that is a bound.
func fit(messages []models.Message, maxBytes int) list {
	p := models.Page{Messages: messages}
	if maxBytes > 0 {
		p.Fit(maxBytes, true)
	}
	return list{p.Messages, p.More}
}

func appendMessages(dst []byte, messages []models.Message) []byte {
	size := 300
	for i := range messages {
		size += 300 + len(messages[i].Content)*9/8
	}
	dst = append(append(make([]byte, 0, len(dst)+size), dst...), '[')
	for i := range messages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = messages[i].AppendJSON(dst)
	}
	return append(dst, ']')
}

func (d *door) message(who models.Principal, q *query) (any, error) {
	ch, id, part := q.channel(), q.id(), q.part()
	if q.err != nil {
		return nil, q.err
	}
	m, err := d.Hub.Message(context.Background(), who, ch, id)
	if err != nil {
		return nil, err
	}
	p := piece{Message: m}
	if p.Content, p.next = part.of(m.Content); len(p.Content) < len(m.Content) {
		p.Truncated, p.ContentBytes = true, len(m.Content)
	}
	return p, nil
}

// piece is a message, or a part of one and where the next part begins.
type piece struct {
	models.Message
	next int
}

func (p piece) AppendJSON(dst []byte) []byte {
	dst = p.Message.AppendJSON(dst)
	if p.next > 0 {
		dst = strconv.AppendInt(append(dst[:len(dst)-1], `,"next_offset":`...), int64(p.next), 10)
		dst = append(dst, '}')
	}
	return dst
}

func (d *door) replies(who models.Principal, q *query) (any, error) {
	ch, id, limit, maxBytes := q.channel(), q.id(), q.limit(mostMessages, mostMessages), q.maxBytes()
	if q.err != nil {
		return nil, q.err
	}
	t, err := d.Hub.Replies(context.Background(), who, ch, id, limit)
	if err != nil {
		return nil, err
	}
	// The parent may take half of the bound.
	parent := fit([]models.Message{t.Parent}, maxBytes/2).messages[0]
	if maxBytes > 0 {
		maxBytes = max(1, maxBytes-len(parent.AppendJSON(nil)))
	}
	return thread{parent, fit(t.Replies, maxBytes)}, nil
}

func (d *door) search(who models.Principal, q *query) (any, error) {
	maxBytes := q.maxBytes()
	ask := models.Search{
		Text:   q.required("q"),
		Limit:  q.limit(foundMessages, mostMessages),
		Sender: q.instance("sender"),
	}
	if ch := q.text("channel"); ch != "" {
		var err error
		if ask.Channel, err = models.ParseChannel(ch); err != nil {
			q.wrong(err)
		}
	}
	if q.err != nil {
		return nil, q.err
	}
	found, err := d.Hub.Search(context.Background(), who, ask)
	return fit(found, maxBytes), err
}
