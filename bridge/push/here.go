package push

import (
	"context"

	"crosstalk/hub"
	"crosstalk/models"
)

// readBytes is of the log at a time.
const readBytes = 1 << 18

// here is a stream of the hub in this process.
type here struct{ *hub.Subscriber }

// Here follows channels of a hub in this process.
func Here(h *hub.Hub) Follow {
	return func(ctx context.Context, who models.Principal, channel, own string, wake func()) (Stream, error) {
		sub, err := h.Subscribe(ctx, who, hub.Subscription{Channels: []string{channel}, Hide: own, Wake: wake})
		if err != nil {
			return nil, err
		}
		return here{sub}, nil
	}
}

func (s here) Read(ctx context.Context) ([]models.Message, error) {
	got, err := s.Subscriber.Read(ctx, nil, readBytes)
	messages := make([]models.Message, len(got))
	for i, e := range got {
		messages[i] = e.Message
	}
	return messages, err
}
