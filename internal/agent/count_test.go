package agent_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// traffic is a hundred requests a second of components, of which some are
// shared.
func (b *bench) traffic(shared ...string) { b.trafficOf("old", shared...) }

// trafficOf is traffic of another revision.
func (b *bench) trafficOf(rev towpath.RevisionID, shared ...string) {
	began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // as bubbles do
	b.runner.counting(func() ([]kind.Count, error) {
		var out []kind.Count
		for _, name := range []string{"api", "web"} {
			c := kind.Count{}
			c.Target, c.At = b.op("op_1", towpath.VerbShift).Target, time.Now()
			c.Target.Component = towpath.ComponentName(name)
			c.Revisions = []towpath.RevisionCount{{Revision: rev, Requests: uint64(100 * time.Since(began) / time.Second)}}
			for _, s := range shared {
				c.Shared = c.Shared || s == name
			}
			out = append(out, c)
		}
		return out, nil
	})
}

// told takes what the server was told of counts since it was last asked.
func (b *bench) told() (out []agentrpc.CountRequest) {
	synctest.Wait()
	b.srv.locked(func() { out, b.srv.counted = b.srv.counted, nil })
	return out
}

func TestAgent_Counts(t *testing.T) {
	t.Run("what nobody shares is told to nobody", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.traffic()
			time.Sleep(30 * time.Second)
			if got := b.told(); len(got) != 0 {
				t.Errorf("told %+v", got)
			}
		})
	})
	t.Run("what is shared is told, whatever can't be counted of others", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.counting(func() ([]kind.Count, error) {
				c := kind.Count{Shared: true}
				c.Target, c.At = b.op("op_1", towpath.VerbShift).Target, time.Now()
				return []kind.Count{c}, errors.New("a record that can't be read")
			})
			time.Sleep(2*time.Second + time.Millisecond)
			if got := b.told(); len(got) < 2 {
				t.Errorf("told %+v", got)
			}
		})
	})
	t.Run("what is shared is told every second, with what was before, once", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.traffic()
			time.Sleep(30*time.Second + time.Millisecond)
			b.traffic("web")
			time.Sleep(3 * time.Second)
			got := b.told()
			if len(got) != 3 || len(got[1].Counts) != 1 || len(got[2].Counts) != 1 {
				t.Fatalf("told %+v", got)
			}
			first := got[0].Counts
			if n := len(first); n < 30 || n > 32 {
				t.Fatalf("%d counts", n)
			}
			for i, c := range first {
				if last := i == len(first)-1; c.Target.Component != "web" || c.Before == last || i > 0 && c.Revisions[0].Requests != first[i-1].Revisions[0].Requests+100 {
					t.Errorf("count %d is %+v", i, c)
				}
			}
			b.traffic("api", "web")
			time.Sleep(time.Second)
			if got = b.told(); len(got) != 2 || len(got[0].Counts) < 34 || len(got[1].Counts) != 1 || got[1].Counts[0].Target.Component != "web" {
				t.Errorf("then told %+v", got)
			}
			b.traffic() // and shared again
			time.Sleep(2 * time.Second)
			b.traffic("web")
			time.Sleep(time.Second)
			if got = b.told(); len(got) != 1 || len(got[0].Counts) < 35 {
				t.Errorf("when it is shared again: %+v", got)
			}
		})
	})
	t.Run("what was before is told when the server is back, and outlives a look that fails", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.traffic()
			time.Sleep(30*time.Second + time.Millisecond)
			b.runner.counting(func() ([]kind.Count, error) {
				return nil, towpath.E(towpath.KindUnavailable, "test", "the router is away")
			})
			time.Sleep(2 * time.Second)
			b.runner.counting(func() ([]kind.Count, error) { return nil, errors.New("what runs can't be read") })
			time.Sleep(2 * time.Second)
			b.srv.locked(func() { b.srv.down = true })
			b.traffic("web")
			time.Sleep(10 * time.Second)
			if got := b.told(); len(got) != 0 {
				t.Fatalf("a server that is down was told %+v", got)
			}
			b.srv.locked(func() { b.srv.down = false })
			time.Sleep(2 * time.Second)
			got := b.told()
			if len(got) < 2 || len(got[0].Counts) > 34 || len(got[0].Counts) < 30 || len(got[1].Counts) != 1 {
				t.Fatalf("told %+v", got)
			}
			// What was counted since it is shared is not from before.
			first := got[0].Counts
			if gap := first[len(first)-1].At.Sub(first[len(first)-2].At); gap < 10*time.Second {
				t.Errorf("what was shared for %s is told as from before", gap)
			}
		})
	})
	t.Run("another rollout is told of what was before, although something was shared until then", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.traffic()
			time.Sleep(30*time.Second + time.Millisecond)
			b.traffic("web")
			time.Sleep(5 * time.Second)
			b.told()
			b.trafficOf("another", "web")
			time.Sleep(time.Second)
			if got := b.told(); len(got) != 1 || len(got[0].Counts) < 35 {
				t.Errorf("told %+v", got)
			}
		})
	})
	t.Run("what has gone is forgotten", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.traffic()
			time.Sleep(30*time.Second + time.Millisecond)
			b.runner.counting(func() ([]kind.Count, error) { return nil, nil })
			time.Sleep(2 * time.Second)
			b.traffic("web")
			time.Sleep(time.Second)
			if got := b.told(); len(got) != 1 || len(got[0].Counts) != 1 {
				t.Errorf("told %+v", got)
			}
		})
	})
}
