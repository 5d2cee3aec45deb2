package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/hub"
	"crosstalk/models"
)

const (
	channelsURI   = "crosstalk://channels"
	channelPrefix = "crosstalk://channel/"
	dataPrefix    = "crosstalk://data/"
	plainText     = "text/plain"
	promptName    = "cross-claude-protocol"
)

func (b *Bridge) addResources() {
	b.server.AddResource(mcp.NewResource(channelsURI, "channels",
		mcp.WithResourceDescription("The channels of the bus, latest activity first"), mcp.WithMIMEType(plainText)),
		b.resource(func(ctx context.Context, c *Call, _ string) (*fence.Answer, error) {
			return b.listChannels(ctx, c, catalog.Parse(nil))
		}))
	b.server.AddResourceTemplate(mcp.NewResourceTemplate(channelPrefix+"{name}", "channel",
		mcp.WithTemplateDescription("The newest messages of a channel; reading them moves nothing"), mcp.WithTemplateMIMEType(plainText)),
		server.ResourceTemplateHandlerFunc(b.resource(b.newestPage)))
	b.server.AddResourceTemplate(mcp.NewResourceTemplate(dataPrefix+"{key}", "data",
		mcp.WithTemplateDescription("Shared data by its key"), mcp.WithTemplateMIMEType(plainText)),
		server.ResourceTemplateHandlerFunc(b.resource(func(ctx context.Context, c *Call, uri string) (*fence.Answer, error) {
			key, err := lastPart(uri, dataPrefix)
			if err != nil {
				return nil, err
			}
			a := fence.New(0)
			return a, b.piece(ctx, c.Who, a, key, 0, fence.Most)
		})))
}

// resource is where the reading of a resource meets the protocol.
func (b *Bridge) resource(fn func(ctx context.Context, c *Call, uri string) (*fence.Answer, error)) server.ResourceHandlerFunc {
	return func(ctx context.Context, r mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		a, err := fn(ctx, callOf(ctx), r.Params.URI)
		if err != nil {
			if models.CodeOf(err) == models.Internal && ctx.Err() == nil {
				b.log.Error("resource failed", "uri", r.Params.URI, "error", err)
			}
			return nil, errors.New(models.Text(err))
		}
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: r.Params.URI, MIMEType: plainText, Text: a.String()}}, nil
	}
}

func lastPart(uri, prefix string) (string, error) {
	part, err := url.PathUnescape(strings.TrimPrefix(uri, prefix))
	if err != nil {
		return "", models.Errorf(models.Invalid, "%q is not percent-encoded as it should be", uri)
	}
	return part, nil
}

func (b *Bridge) newestPage(ctx context.Context, c *Call, uri string) (*fence.Answer, error) {
	name, err := lastPart(uri, channelPrefix)
	if err != nil {
		return nil, err
	}
	ask := hub.Ask{Limit: 20}
	if ask.Channel, err = models.ParseChannel(name); err != nil {
		return nil, err
	}
	r, err := b.hub.Check(ctx, c.Who, ask)
	if err != nil {
		return nil, err
	}
	a := fence.New(0)
	older := fit(r, a.Room()-keepFree, false)
	checkHead(a, ask, r, older)
	b.writeReading(a, ask, r)
	return a, nil
}

func (b *Bridge) addPrompt() {
	p := mcp.NewPrompt(promptName,
		mcp.WithPromptDescription("How to work with others over Crosstalk: for the beginning of a session"),
		mcp.WithArgument("instance_id", mcp.ArgumentDescription("the name to register")),
		mcp.WithArgument("channel", mcp.ArgumentDescription("the channel to work in")))
	b.server.AddPrompt(p, func(ctx context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		instance, channel := r.Params.Arguments["instance_id"], r.Params.Arguments["channel"]
		var err error
		if instance != "" {
			instance, err = models.ParseInstance("instance_id", instance)
		}
		if channel != "" && err == nil {
			channel, err = models.ParseChannel(channel)
		}
		if err != nil {
			return nil, errors.New(models.Text(err))
		}
		text := mcp.NewTextContent(catalog.Prompt(instance, channel))
		return mcp.NewGetPromptResult("Working together over Crosstalk", []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, text)}), nil
	})
}

// CompletePromptArgument completes the names of channels and instances.
func (b *Bridge) CompletePromptArgument(ctx context.Context, prompt string, arg mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	if prompt != promptName {
		return nil, fmt.Errorf("there is no prompt %q", prompt)
	}
	return b.complete(ctx, arg)
}

// CompleteResourceArgument completes the names of channels and the keys of data.
func (b *Bridge) CompleteResourceArgument(ctx context.Context, uri string, arg mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	return b.complete(ctx, arg)
}

// complete lists what begins with what was typed, then what has it within.
func (b *Bridge) complete(ctx context.Context, arg mcp.CompleteArgument) (*mcp.Completion, error) {
	who := callOf(ctx).Who
	var names []string
	var err error
	switch arg.Name {
	case "channel", "name":
		names, err = b.channelNames(ctx, who)
	case "instance_id", "sender":
		var list []models.Instance
		list, err = b.hub.Instances(ctx, who, "", maxListed)
		for _, i := range list {
			names = append(names, i.ID)
		}
	case "key":
		var list []models.SharedData
		list, err = b.hub.ListData(ctx, who, maxListed)
		for _, d := range list {
			names = append(names, d.Key)
		}
	}
	if err != nil {
		return nil, errors.New(models.Text(err))
	}
	const most = 100
	typed := models.FoldInstance(arg.Value)
	var begin, within []string
	for _, name := range names {
		if folded := models.FoldInstance(name); strings.HasPrefix(folded, typed) {
			begin = append(begin, name)
		} else if strings.Contains(folded, typed) {
			within = append(within, name)
		}
	}
	all := append(begin, within...)
	return &mcp.Completion{Values: all[:min(len(all), most)], Total: len(all), HasMore: len(all) > most}, nil
}
