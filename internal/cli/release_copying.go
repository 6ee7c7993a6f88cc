package cli

import (
	"fmt"
	"sync"

	"github.com/towpath/towpath/internal/replicate"
)

// copying shows how far the copy of a graph is, and then its comparison.
type copying struct {
	session *session
	steps   *steps
	all     int
	mu      sync.Mutex
	parts   [2]part
}

// part is one half of the work.
type part struct {
	name  string
	done  int
	bytes int64
}

func (s *session) newCopying(title string, g *replicate.Graph) *copying {
	c := &copying{
		session: s, steps: s.newSteps(title), all: len(g.Nodes) + len(g.Blobs()),
		parts: [2]part{{name: "write"}, {name: "read back and compare"}},
	}
	s.waits.beside(c.steps)
	return c
}

// config has a copy report here.
func (c *copying) config() replicate.Config {
	cfg := c.session.patiently()
	cfg.Report = c.report
	return cfg
}

func (c *copying) report(p replicate.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := &c.parts[0]
	if p.What == replicate.Compared {
		x = &c.parts[1]
	}
	x.done++
	if p.What == replicate.Copied || p.What == replicate.Compared {
		x.bytes += p.Bytes
	}
	c.show(x, StepRunning)
}

func (c *copying) show(x *part, state StepState) {
	c.steps.report(Step{Name: x.name, State: state, Count: fmt.Sprintf("%d of %d, %s", min(x.done, c.all), c.all, size(x.bytes))})
}

func (c *copying) end(err error) {
	c.mu.Lock()
	for i := range c.parts {
		state := StepDone
		if last := i == len(c.parts)-1 || c.parts[i+1].done == 0; last && err != nil {
			state = StepFailed
		}
		if c.parts[i].done > 0 {
			c.show(&c.parts[i], state)
		}
	}
	c.mu.Unlock()
	c.session.waits.beside(nil)
	c.steps.end()
}
