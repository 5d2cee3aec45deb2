package models

import (
	"path"
	"slices"
	"strings"
)

// Principal is who calls: what the credential says of its holder, and the live connection the call came
// over. One that says nothing may do nothing.
type Principal struct {
	Name       string   // SharedPrincipal, or the sort and name of a credential of its own, such as key:alice
	Session    string   // a WebSocket or stdio process; empty where a call stands alone
	Scope      Scope    // of a credential of its own; the shared principal has all rights
	Channels   Patterns // the channels it has to do with; empty: all
	Person     string   // the name of a person signed in, who speaks under no other; empty for agents
	Address    string   // the call came from: an IPv4 address, or the /64 of an IPv6 one; empty within the process
	Credential string   // names the key or grant that was shown, never the secret; empty for the shared key
}

// SharedPrincipal is the name of all callers that hold the one shared key, or need none.
const SharedPrincipal = "shared"

// Named tells whether who has a credential of its own, so that names can belong to it.
func (who Principal) Named() bool { return who.Name != "" && who.Name != SharedPrincipal }

// May tells whether who has a scope.
func (who Principal) May(s Scope) bool {
	if who.Name == SharedPrincipal {
		return true
	}
	return who.Name != "" && s.rank() > 0 && who.Scope.rank() >= s.rank()
}

// Admin tells whether who may do what concerns others: keys, names, descriptions, pauses.
func (who Principal) Admin() bool { return who.May(ScopeAdmin) }

// Restricted tells whether there are channels that who has nothing to do with.
func (who Principal) Restricted() bool { return who.Channels != "" }

// Reads tells whether who may read a channel, whether it exists or not. With Every, whether it may read any.
func (who Principal) Reads(ch string) bool {
	return who.May(ScopeRead) && (ch == Every || who.Channels.Match(ch))
}

// Writes tells whether who may write to a channel.
func (who Principal) Writes(ch string) bool { return who.May(ScopeWrite) && who.Reads(ch) }

// Kind is what its messages are of.
func (who Principal) Kind() Kind {
	if who.Person != "" {
		return KindHuman
	}
	return KindAgent
}

// Need returns a refusal unless who has a scope.
func (who Principal) Need(s Scope) error {
	if who.May(s) {
		return nil
	}
	return Errorf(Forbidden, "this needs a key of scope %s: the one you call with may not do it", s)
}

// NeedReads returns a refusal unless who may read a channel. It is the same whether the channel exists or not.
func (who Principal) NeedReads(ch string) error {
	if who.Reads(ch) {
		return nil
	}
	if err := who.Need(ScopeRead); err != nil {
		return err
	}
	return Errorf(Forbidden, "channel %q is none of those that your key has to do with: %s", ch, strings.ReplaceAll(string(who.Channels), ",", ", "))
}

// NeedAll returns a refusal unless who may read all channels.
func (who Principal) NeedAll() error {
	if err := who.Need(ScopeRead); err != nil {
		return err
	}
	if who.Restricted() {
		return Errorf(Forbidden, "this tells of all channels, and your key has to do with some only: ask for one of scope read without channels")
	}
	return nil
}

// NeedWrites returns a refusal unless who may write to a channel.
func (who Principal) NeedWrites(ch string) error {
	if err := who.Need(ScopeWrite); err != nil {
		return err
	}
	return who.NeedReads(ch)
}

// Scope says what a credential allows; each scope includes those before it.
type Scope string

// The scopes of the contract.
const (
	ScopeRead  Scope = "read"
	ScopeWrite Scope = "write"
	ScopeAdmin Scope = "admin"
)

func (s Scope) rank() int {
	return 1 + slices.Index([]Scope{ScopeRead, ScopeWrite, ScopeAdmin}, s)
}

// ParseScope returns s, or write for none.
func ParseScope(s Scope) (Scope, error) {
	switch s {
	case "":
		return ScopeWrite, nil
	case ScopeRead, ScopeWrite, ScopeAdmin:
		return s, nil
	}
	return "", Errorf(Invalid, "scope must be one of read, write, admin")
}

// Patterns names channels, separated by commas: general, team-*. Empty means all. ParsePatterns makes valid ones.
type Patterns string

// maxPatterns bounds a list of patterns: it is gone through for each message that its holder may see.
const maxPatterns = 50

// ParsePatterns checks a list of channel names, in which * stands for any piece of a name. Nothing is guessed:
// what would not be found again under the name as it stands is refused.
func ParsePatterns(s string) (Patterns, error) {
	if len(s) > maxPatterns*(MaxChannel+1) {
		return "", Errorf(Invalid, "channels is too long: at most %d names and patterns", maxPatterns)
	}
	var list []string
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		part = strings.ToLower(strings.ReplaceAll(part, "_", "-"))
		for strings.Contains(part, "**") {
			part = strings.ReplaceAll(part, "**", "*")
		}
		if len(part) > MaxChannel || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-*") != "" {
			return "", Errorf(Invalid, "channels: %.100q is no channel name or pattern: use a-z, 0-9, - and *", part)
		}
		if part == Every {
			return "", nil
		}
		if !slices.Contains(list, part) {
			list = append(list, part)
		}
	}
	switch {
	case len(list) > maxPatterns:
		return "", Errorf(Invalid, "channels has %d names and patterns, at most %d are allowed", len(list), maxPatterns)
	case len(list) == 0 && s != "":
		return "", Errorf(Invalid, "channels names none: leave it out for all channels")
	}
	return Patterns(strings.Join(list, ",")), nil
}

// List returns the patterns one by one; none means all channels.
func (p Patterns) List() []string {
	if p == "" {
		return nil
	}
	return strings.Split(string(p), ",")
}

// Match tells whether a channel is one of those named.
func (p Patterns) Match(ch string) bool {
	if p == "" {
		return true
	}
	for part := range strings.SplitSeq(string(p), ",") {
		if ok, err := path.Match(part, ch); ok && err == nil {
			return true
		}
	}
	return false
}
