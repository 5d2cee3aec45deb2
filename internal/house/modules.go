package house

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Requirements are what a go.mod requires: the version of each module.
type Requirements map[string]string

// ParseRequirements reads what `go mod edit -json` prints.
func ParseRequirements(printed []byte) (Requirements, error) {
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(printed, &mod); err != nil {
		return nil, fmt.Errorf("go mod edit -json: %w", err)
	}
	r := Requirements{}
	for _, m := range mod.Require {
		r[m.Path] = m.Version
	}
	return r, nil
}

// SameSQLite compares our modernc.org modules with those that the SQLite driver was built and tested with. The machine
// translation of SQLite and its C library fit each other in exactly those versions: a newer one compiles, and may
// corrupt memory.
func SameSQLite(ours, drivers Requirements) (found []string) {
	for path, want := range drivers {
		if have := ours[path]; strings.HasPrefix(path, "modernc.org/") && have != want {
			found = append(found, fmt.Sprintf("go.mod: %s is at %q, the SQLite driver wants exactly %s", path, have, want))
		}
	}
	for path := range ours {
		if _, known := drivers[path]; strings.HasPrefix(path, "modernc.org/") && !known {
			found = append(found, fmt.Sprintf("go.mod: %s is not among what the SQLite driver requires", path))
		}
	}
	slices.Sort(found)
	return found
}
