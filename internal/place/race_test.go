package place_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/place"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// collectGarbage deletes what no record holds, as the registry does.
func (y *yard) collectGarbage(ctx context.Context, s *place.Keeper) error {
	check, release, err := y.latch.Alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	var all []towpath.Digest
	if err := s.Walk(ctx, func(i blob.Info) error { all = append(all, i.Digest); return nil }); err != nil || len(all) == 0 {
		return err
	}
	var held map[towpath.Digest]int
	err = y.records.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		held, err = tx.Holders(ctx, all)
		return err
	})
	for _, d := range all {
		if err == nil && held[d] == 0 && check(ctx) == nil {
			err = s.Delete(ctx, d)
		}
	}
	return err
}

// Layers are old at once and nothing is in use, so that nothing but the order of
// its steps protects who publishes and who reads from two servers that let go,
// and from one that collects garbage.
func TestKeeper_Race(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		y := newYard(t, db, t.TempDir(), 1)
		y.found()
		rule := ruleOf(shop)
		rule.Place.Keep = 0
		y.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertReplicationRule(ctx, rule) })
		const publishers, each, shared = 3, 12, 100 // every publisher has the same layers too
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		var care, work sync.WaitGroup
		var letGo, misses, again atomic.Int64
		for n, s := range y.servers {
			care.Go(func() {
				for ctx.Err() == nil {
					y.pass(time.Minute)
					out, err := s.LetGo(ctx)
					if err != nil && ctx.Err() == nil {
						t.Errorf("let go: %v", err)
						return
					}
					letGo.Add(int64(out.Layers))
					if n == 0 {
						if err := y.collectGarbage(ctx, s); err != nil && ctx.Err() == nil {
							t.Errorf("garbage: %v", err)
							return
						}
					}
				}
			})
		}
		for p := range publishers {
			work.Go(func() {
				s := y.servers[p%2]
				random := rand.New(rand.NewPCG(1, uint64(p)))
				var mine []int
				for n := range each {
					for _, i := range []int{p*each + n, shared + n%3} {
						for tries := 0; ; tries++ {
							if err := y.put(s, i); err != nil {
								t.Errorf("put: %v", err)
								return
							}
							err := y.link(s, shop, i)
							if err == nil {
								break
							}
							if kind(err) != towpath.KindNotFound { // garbage, until it is recorded
								t.Errorf("publish: %v", err)
								return
							}
							again.Add(1)
						}
						if err := y.copied(shop, i); err != nil {
							t.Errorf("copy: %v", err)
							return
						}
						mine = append(mine, i)
					}
					for range 4 {
						i := mine[random.IntN(len(mine))]
						if !y.here(i) {
							misses.Add(1)
						}
						switch err := y.read(s, i); {
						case err == nil:
						case kind(err) == towpath.KindUnavailable && says(err, "let go as soon"):
							again.Add(1)
						default:
							t.Errorf("layer %d can't be read: %v", i, err)
						}
					}
				}
			})
		}
		work.Wait()
		t.Run("ending it while layers are let go brings all back", func(t *testing.T) {
			rule.Place.Leaving = y.now()
			y.update(func(ctx context.Context, tx *store.Tx) error { return tx.SaveReplicationRule(ctx, rule) })
			if err := y.servers[1].BringBack(context.Background(), rule); err != nil {
				t.Fatal(err)
			}
			y.far.setDown(true)
			for i := range shared + 3 {
				if (i < publishers*each || i >= shared) && !y.here(i) {
					t.Errorf("layer %d is lost", i)
				}
			}
		})
		stop()
		care.Wait()
		if letGo.Load() == 0 || misses.Load() == 0 {
			t.Errorf("%d layers went and %d were read when away: nothing was tried", letGo.Load(), misses.Load())
		}
		t.Logf("%d layers went, %d were read when away, %d attempts were repeated", letGo.Load(), misses.Load(), again.Load())
	})
}
