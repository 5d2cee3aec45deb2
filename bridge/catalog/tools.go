package catalog

import (
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
)

// param is one parameter of a tool, as its schema has it.
type param struct {
	name, kind, about string
	standard          any // what an absent one stands for, where that is worth telling
	required          bool
	choices           []string
}

// traits are what a client may want to know before it lets a model call a tool.
type traits struct {
	reads      bool // changes nothing that others see
	destroys   bool // may write over what was there
	idempotent bool
	reaches    bool // other people and programs
}

type tool struct {
	name, about string
	traits      traits
	params      []param
}

// Tools lists the tools; push adds those of live push, which elsewhere would make models claim to listen.
func Tools(push bool) []mcp.Tool {
	list := append(talking(), looking()...)
	list = append(list, subscribing()...)
	if push {
		list = append(list, pushing()...)
	}
	tools := make([]mcp.Tool, len(list))
	for i, t := range list {
		tools[i] = t.forClients()
	}
	return tools
}

func (t tool) forClients() mcp.Tool {
	properties := map[string]map[string]any{}
	var required []string
	for _, p := range t.params {
		property := map[string]any{"type": p.kind}
		if p.about != "" {
			property["description"] = p.about
		}
		if p.standard != nil {
			property["default"] = p.standard
		}
		if p.choices != nil {
			property["enum"] = p.choices
		}
		properties[p.name] = property
		if p.required {
			required = append(required, p.name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if required != nil {
		schema["required"] = required
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		panic(err) // made of texts and numbers only
	}
	made := mcp.NewToolWithRawSchema(t.name, t.about, raw)
	made.Annotations = mcp.ToolAnnotation{
		ReadOnlyHint: &t.traits.reads, DestructiveHint: &t.traits.destroys,
		IdempotentHint: &t.traits.idempotent, OpenWorldHint: &t.traits.reaches,
	}
	return made
}

func talking() []tool {
	channel := param{name: "channel", kind: "string", standard: "general"}
	anyChannel := param{name: "channel", kind: "string", about: "or * for all you have used", standard: "general"}
	afterID := param{name: "after_id", kind: "integer", about: "only what came after this message"}
	me := param{name: "instance_id", kind: "string", about: "your registered name"}
	meRequired, sender := me, me
	meRequired.required = true
	sender.name, sender.required = "sender", true
	return []tool{
		{"register", "Join the message bus: call this first. Tells which channels are active, who is online and what to do next. " +
			"One session may hold several names.", traits{idempotent: true}, []param{
			{name: "instance_id", kind: "string", about: "a name of your own, such as builder or reviewer-2", required: true},
			{name: "description", kind: "string", about: "what you work on"},
			{name: "model", kind: "string"},
		}},
		{"send_message", "Send a message to a channel, which is created if need be. It reaches other apps, machines and people; for your own " +
			"subagents use your client's messaging. Name the channel: list_channels or find_channel shows which. " +
			"More than a page of text: share_data, and send its key.", traits{reaches: true}, []param{
			channel, sender,
			{name: "content", kind: "string", required: true},
			{name: "message_type", kind: "string", about: "request expects an answer; done ends the exchange", standard: "message",
				choices: []string{"message", "request", "response", "status", "handoff", "done"}},
			{name: "in_reply_to", kind: "integer", about: "id of the message this answers"},
		}},
		{"check_messages", "Read what is new to you in a channel, oldest first, or the newest messages if nothing is. " +
			"What you were shown counts as read when you next act.", traits{reads: true}, []param{
			anyChannel, afterID, {name: "limit", kind: "integer", standard: 20}, me,
		}},
		{"wait_for_reply", "Wait until a message from another instance comes in a channel: from other apps, machines or people, not from your own " +
			"subagents. Call it when you expect an answer. One wait per channel: a newer one supersedes. When it returns, nobody listens any more.",
			traits{reads: true}, []param{
				anyChannel,
				{name: "after_id", kind: "integer", about: "default: from what you last read"},
				meRequired,
				{name: "persistent", kind: "boolean", about: "false: wait timeout_seconds only", standard: true},
				{name: "timeout_seconds", kind: "number", about: "with persistent=false", standard: 90},
				{name: "max_wait_minutes", kind: "number", standard: 25},
				{name: "role", kind: "string", about: "parked: stand by, and never be asked to speak first", standard: "active",
					choices: []string{"active", "parked"}},
			}},
		{"get_replies", "Read a message and the replies to it.", traits{reads: true, idempotent: true}, []param{
			{name: "message_id", kind: "integer", required: true},
		}},
	}
}

func looking() []tool {
	reads := traits{reads: true, idempotent: true}
	query := param{name: "query", kind: "string", required: true}
	key := param{name: "key", kind: "string", required: true}
	keyOrMessage := key
	keyOrMessage.about = `or "#12" for the text of message 12`
	return []tool{
		{"create_channel", "Create a channel for a topic. Look with find_channel first: there may be one.", traits{idempotent: true}, []param{
			{name: "name", kind: "string", about: "lower case, digits, hyphens", required: true},
			{name: "description", kind: "string", about: "what it is for"},
		}},
		{"list_channels", "List channels, latest activity first. Call it before your first message.", reads, nil},
		{"find_channel", "Find channels by a part of their name or description.", reads, []param{query}},
		{"list_instances", "List who is on the bus, online or not: sessions of other apps, machines and people, not your own subagents.", reads, nil},
		{"search_messages", "Search messages by words, newest first.", reads, []param{
			query,
			{name: "limit", kind: "integer", standard: 10},
			{name: "channel", kind: "string", about: "only there"},
			{name: "sender", kind: "string", about: "only by this instance"},
		}},
		{"share_data", "Store a large text (plan, table, log) under a key that others can read. An older text under the key is replaced.",
			traits{destroys: true, reaches: true}, []param{
				key,
				{name: "content", kind: "string", required: true},
				{name: "sender", kind: "string", about: "your registered name", required: true},
				{name: "description", kind: "string"},
			}},
		{"get_shared_data", "Read shared data, or the rest of a message that came cut.", reads, []param{
			keyOrMessage,
			{name: "offset", kind: "integer", about: "byte to begin at", standard: 0},
			{name: "length", kind: "integer", about: "bytes; default: what fits"},
		}},
		{"list_shared_data", "List the keys of shared data, newest first.", reads, nil},
	}
}

func subscribing() []tool {
	params := []param{
		{name: "channel", kind: "string", required: true},
		{name: "instance_id", kind: "string", about: "your registered name", required: true},
	}
	return []tool{
		{"subscribe", `Count a channel among yours, so that channel="*" covers it. This is not listening: the answer says what you will hear.`,
			traits{idempotent: true}, params},
		{"unsubscribe", "End live push of a channel, where there is any. Reading it stays possible.", traits{idempotent: true}, params},
	}
}

func pushing() []tool {
	channel := []param{{name: "channel", kind: "string", required: true}}
	return []tool{
		{"listen_live", "Have new messages of a channel pushed into this session as they come, also while it is idle. " +
			"A push is a hint: check_messages has the messages.", traits{idempotent: true}, channel},
		{"stop_listening", "End live push of a channel.", traits{idempotent: true}, channel},
		{"delivery_status", "Tell which channels are pushed live to this session, and which it must read.", traits{reads: true, idempotent: true}, nil},
	}
}
