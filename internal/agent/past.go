package agent

import (
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// How long what was counted of a target is kept: every second of the last
// minute, and of ten minutes every tenth, for rollouts that are judged less often.
const (
	pastFine   = time.Minute
	pastSparse = 10 * time.Second
	pastKept   = 10 * time.Minute
)

// past is what was counted of a target before, oldest first. A judge that knows
// how requests scattered before a rollout finds out sooner what is wrong with it.
type past []towpath.TrafficCount

// add takes the newest count, and forgets what is too old. A clock that goes
// back begins anew.
func (p past) add(c towpath.TrafficCount) past {
	if len(p) > 0 && c.At.Before(p[len(p)-1].At) {
		return past{c}
	}
	kept := p[:0]
	for _, x := range p {
		age := c.At.Sub(x.At)
		tooMany := age > pastFine && len(kept) > 0 && x.At.Sub(kept[len(kept)-1].At) < pastSparse
		if age > 0 && age <= pastKept && !tooMany {
			kept = append(kept, x)
		}
	}
	return append(kept, c)
}

// before is what was counted before a time, for the server.
func (p past) before(t time.Time) []towpath.TrafficCount {
	var out []towpath.TrafficCount
	for _, c := range p {
		if c.At.Before(t) {
			c.Before = true
			out = append(out, c)
		}
	}
	return out
}
