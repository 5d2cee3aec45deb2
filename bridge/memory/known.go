package memory

import "sync"

// maxKnown bounds how many names of channels are remembered.
const maxKnown = 20_000

// Known remembers names of channels that exist: once there, a channel stays.
type Known struct {
	mu    sync.Mutex
	names map[string]bool
}

// NewKnown remembers nothing yet.
func NewKnown() *Known { return &Known{names: map[string]bool{}} }

// Has says that a channel exists; if not, it may yet.
func (k *Known) Has(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.names[name]
}

// Add notes that channels exist.
func (k *Known) Add(names ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		if len(k.names) >= maxKnown {
			clear(k.names)
		}
		k.names[name] = true
	}
}
