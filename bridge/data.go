package bridge

import (
	"context"
	"strconv"
	"strings"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/models"
)

func (b *Bridge) shareData(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	d := models.DataDraft{
		Key: in.Need("key", "plan-v2"), Content: in.Need("content", "..."), Sender: in.NeedWho("sender"),
		Description: in.Text("description"), IfVersion: in.Whole("if_version").Ptr(),
	}
	if in.Has("channel") {
		d.Channel = in.Channel()
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	d, err := models.ParseData(d)
	if err != nil {
		return nil, err
	}
	data, err := b.hub.ShareData(ctx, c.Who, d)
	if err != nil {
		return nil, err
	}
	a := fence.New(0)
	a.Sayf("Shared data stored as %s (%s, version %d).\nOthers read it with get_shared_data key=%s: tell them so with send_message.\n",
		fence.Quote(data.Key), fence.Count(int(data.SizeBytes), "byte", "bytes"), data.Version, fence.Quote(data.Key))
	return a, nil
}

func (b *Bridge) sharedData(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	key, offset := in.Need("key", "plan-v2"), in.Whole("offset")
	length, a := in.Limit("length", fence.Most, fence.Most), blank(in)
	if err := in.Err(); err != nil {
		return nil, err
	}
	key, err := models.ParseDataKey(key)
	if err != nil {
		return nil, err
	}
	return a, b.piece(ctx, c.Who, a, key, int(min(max(offset.Value, 0), models.MaxData)), length)
}

// piece writes a part of what a key names: shared data, or a message by "#" and its id.
func (b *Bridge) piece(ctx context.Context, who models.Principal, a *fence.Answer, key string, offset, length int) error {
	if number, ok := strings.CutPrefix(key, "#"); ok {
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return models.Errorf(models.NotFound, "No shared data found under key %q: keys with # name messages, such as \"#12\"", key)
		}
		m, err := b.message(ctx, who, id)
		if err != nil {
			return err
		}
		a.Sayf("Message #%d in #%s [%s] from %s (%s), %s, %s:\n", m.ID, fence.Channel(m.Channel), fence.Type(m.Type),
			fence.Quote(m.Sender), fence.Standing(&m), m.CreatedAt, fence.Count(len(m.Content), "byte", "bytes"))
		a.Piece(key, m.Content, offset, length, tailFree)
		return nil
	}
	data, err := b.hub.Data(ctx, who, key)
	if models.CodeOf(err) == models.NotFound {
		err = models.Errorf(models.NotFound, "No shared data found under key %q: list_shared_data shows the keys", key)
	}
	if err != nil {
		return err
	}
	a.Sayf("Shared data %s by %s, version %d of %s, %s", fence.Quote(data.Key), fence.Quote(data.CreatedBy), data.Version,
		data.CreatedAt, fence.Count(len(data.Content), "byte", "bytes"))
	if data.Description != "" {
		a.Sayf(" ")
		a.Inline(data.Description, maxDescription)
	}
	a.Sayf(":\n")
	a.Piece(key, data.Content, offset, length, tailFree)
	return nil
}

func (b *Bridge) listData(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	list, err := b.hub.ListData(ctx, c.Who, maxListed)
	if err != nil {
		return nil, err
	}
	a := fence.New(0)
	if len(list) == 0 {
		a.Sayf("No shared data yet: share_data stores some.\n")
		return a, nil
	}
	a.Sayf("%s of shared data, newest first:\n", fence.Count(len(list), "key", "keys"))
	for i := range list {
		d := &list[i]
		if a.Room() < 2*keepFree {
			a.Sayf("%d more did not fit.\n", len(list)-i)
			break
		}
		a.Sayf("%s: %s, version %d by %s, %s", fence.Quote(d.Key), fence.Count(int(d.SizeBytes), "byte", "bytes"), d.Version,
			fence.Name(d.CreatedBy), d.CreatedAt)
		if d.Description != "" {
			a.Sayf(" ")
			a.Inline(d.Description, maxDescription)
		}
		a.Sayf("\n")
	}
	return a, nil
}

// message finds a message by its id alone, in whatever channel the caller may read.
func (b *Bridge) message(ctx context.Context, who models.Principal, id int64) (models.Message, error) {
	m, err := b.hub.Message(ctx, who, models.Every, id)
	if models.CodeOf(err) == models.NotFound {
		err = models.Errorf(models.NotFound, "Message #%d was not found: it never was, or retention has removed it. check_messages and search_messages show which there are", id)
	}
	return m, err
}
