package limits

import (
	"sync"
	"time"

	"crosstalk/models"
)

// tryAgain is when who has too much open may look again.
const tryAgain = 5 * time.Second

// counts bounds how much each of many has at once. Its zero value is ready.
type counts struct {
	mu   sync.Mutex
	each map[string]int
}

// take counts n of somebody's until done, which may be called again, in vain. A limit of 0 is none.
func (c *counts) take(key string, n, limit int, text string) (done func(), err error) {
	if limit <= 0 {
		return func() {}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.each[key]+n > limit {
		return nil, models.After(models.Errorf(models.RateLimited, "%d %s", c.each[key], text), tryAgain)
	}
	if c.each == nil {
		c.each = map[string]int{}
	}
	c.each[key] += n
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.each[key] -= n; c.each[key] <= 0 {
			delete(c.each, key)
		}
	}), nil
}
