package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// counter counts as an agent does: totals that grow, a second apart.
type counter struct {
	h         *harness
	component towpath.ComponentName
	at        time.Time
	old, new  towpath.RevisionCount
	past      []towpath.TrafficCount
}

// counting begins to count the canary of api that is under way in dev.
func (h *harness) counting() *counter {
	h.t.Helper()
	c := h.countingOf("api")
	c.tell()
	return c
}

func (h *harness) countingOf(name towpath.ComponentName) *counter {
	h.t.Helper()
	var c *counter
	h.until("the traffic of "+string(name)+" is shared", func() bool {
		d := h.status("dev").Deployment
		if d == nil {
			return false
		}
		i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == name })
		if i < 0 || d.Components[i].Weight() == 0 {
			return false
		}
		c = h.counter(name, &d.Components[i])
		return true
	})
	return c
}

// counter counts the revisions of a component.
func (h *harness) counter(name towpath.ComponentName, r *towpath.Rollout) *counter {
	return &counter{
		h: h, component: name, at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		old: towpath.RevisionCount{Revision: r.From, Weight: 90}, new: towpath.RevisionCount{Revision: r.To, Weight: 10},
	}
}

func (c *counter) tell() {
	c.h.t.Helper()
	must(c.h.t, 0, c.h.s.agents.deploys.Count(context.Background(), c.h.ana, "session-1", append(c.past, c.count())))
	c.at = c.at.Add(time.Second)
}

func (c *counter) count() towpath.TrafficCount {
	return towpath.TrafficCount{
		Target: towpath.Target{Project: shop, Environment: "dev", Component: c.component, Place: "local", Slot: towpath.SlotMain},
		At:     c.at, Bounds: []float64{0.1, 1}, Revisions: []towpath.RevisionCount{c.old, c.new},
	}
}

// alone counts 180 good requests of the old revision a second, before the new
// one is there.
func (c *counter) alone(seconds int) {
	for range seconds {
		x := c.count()
		x.Before = true
		c.past = append(c.past, x)
		c.old.Requests += 180
		c.at = c.at.Add(time.Second)
	}
}

// seconds counts 180 good requests of the old revision a second, and 20 of the
// new one, of which some fail.
func (c *counter) seconds(n int, failed uint64) {
	c.h.t.Helper()
	for range n {
		c.old.Requests += 180
		c.new.Requests += 20
		c.new.Failed += failed
		c.tell()
	}
}

// until counts on, a good second at a time, until something is so: a step ends with
// what was counted since it began.
func (c *counter) until(what string, f func() bool) {
	c.h.t.Helper()
	c.h.until(what, func() bool {
		if f() {
			return true
		}
		c.seconds(1, 0)
		return false
	})
}

// runs counts on until dev runs a version.
func (c *counter) runs(version string) {
	c.h.t.Helper()
	c.until("dev runs "+version, func() bool {
		st := c.h.status("dev")
		return st.Version == version && st.Deployment == nil
	})
}

// waits waits until the deployment in dev says what it waits for.
func (h *harness) waits(what string) {
	h.t.Helper()
	h.until("dev waits: "+what, func() bool {
		d := h.status("dev").Deployment
		return d != nil && strings.Contains(d.Waiting, what)
	})
}
