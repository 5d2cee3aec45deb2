package ws

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"reflect"

	"crosstalk/models"
)

// maxID bounds what is echoed, in bytes as it came.
const maxID = 256

// command is what a client asks for.
type command struct {
	Type           string          `json:"type"`
	ID             json.RawMessage `json:"id"` // a number or a string; nil for none
	Channel        string          `json:"channel"`
	AfterID        models.Int      `json:"after_id"`
	ExcludeSelf    bool            `json:"exclude_self"`
	Sender         string          `json:"sender"`
	Content        string          `json:"content"`
	MessageType    string          `json:"message_type"`
	InReplyTo      models.Int      `json:"in_reply_to"`
	IdempotencyKey string          `json:"idempotency_key"`
}

// parse reads a command. ok is false when b is no JSON object; the error says what is wrong with one that is. The id
// is there in any case, if it can be read.
func parse(b []byte) (cmd command, ok bool, err error) {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 || b[0] != '{' {
		return command{}, false, nil
	}
	if err = json.Unmarshal(b, &cmd); err != nil {
		if _, broken := errors.AsType[*json.SyntaxError](err); broken {
			return command{}, false, nil
		}
		var only struct {
			ID json.RawMessage `json:"id"`
		}
		// What failed is another field, behind which the id may stand.
		_ = json.Unmarshal(b, &only)
		cmd.ID, err = only.ID, explain(err)
	}
	id, iderr := parseID(cmd.ID)
	if cmd.ID = id; err == nil {
		err = iderr
	}
	return cmd, true, err
}

func parseID(id json.RawMessage) (json.RawMessage, error) {
	switch {
	case len(id) == 0 || string(id) == "null":
		return nil, nil
	case len(id) > maxID:
		return nil, models.Errorf(models.Invalid, "id is longer than %d bytes", maxID)
	case id[0] == '"' || id[0] == '-' || '0' <= id[0] && id[0] <= '9':
		return id, nil
	}
	return nil, models.Errorf(models.Invalid, "id must be a number or a string")
}

// explain says in the client's words what encoding/json says in ours.
func explain(err error) error {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		want := "a string"
		if t.Type.Kind() == reflect.Bool {
			want = "true or false"
		}
		return models.Errorf(models.Invalid, "%s must be %s, but is of type %s", t.Field, want, t.Value)
	}
	if models.CodeOf(err) == models.Internal {
		return models.Errorf(models.Invalid, "the command cannot be read: %v", err)
	}
	return err
}

// obey does what one message of the client asks for, and answers.
func (c *conn) obey(b []byte) {
	cmd, ok, err := parse(b)
	if !ok {
		c.close(closeInvalid, "send one JSON object in each frame")
		return
	}
	if err == nil {
		err = c.do(cmd)
	}
	if err != nil {
		c.srv.meter.Reject(err)
		if models.CodeOf(err) == models.Internal && c.srv.ctx.Err() == nil {
			c.srv.log.Error("websocket command failed", "type", cmd.Type, "error", err)
		}
		c.send(appendError(nil, cmd.ID, err))
	}
}

func (c *conn) do(cmd command) error {
	switch cmd.Type {
	case "subscribe":
		return c.subscribe(cmd)
	case "unsubscribe":
		return c.unsubscribe(cmd)
	case "publish":
		return c.publish(cmd)
	case "ping":
		var frame [64 + maxID]byte
		c.send(appendPong(frame[:0], cmd.ID))
		return nil
	}
	return models.Errorf(models.Invalid, "type must be one of subscribe, unsubscribe, publish, ping, not %.40q", cmd.Type)
}

// publish answers once the message is stored. Commands wait meanwhile, which keeps the order in which they came.
func (c *conn) publish(cmd command) error {
	if cmd.Sender == "" {
		cmd.Sender = cmp.Or(c.instance, c.who.Person)
	}
	draft, err := models.ParseDraft(models.Draft{
		Channel:        cmd.Channel,
		Sender:         cmd.Sender,
		Content:        cmd.Content,
		Type:           models.MessageType(cmd.MessageType),
		InReplyTo:      cmd.InReplyTo.Value,
		IdempotencyKey: cmd.IdempotencyKey,
	})
	if err != nil {
		return err
	}
	receipt, err := c.srv.hub.Publish(c.srv.ctx, c.who, draft)
	if err != nil {
		return err
	}
	c.srv.meter.Accept(receipt.Duplicate)
	var frame [128 + maxID]byte
	c.send(appendPublished(frame[:0], cmd.ID, receipt))
	return nil
}
