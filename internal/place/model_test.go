package place_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/place"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

const most = 4 // layers: with few, more happens to each

// model is what places promise, said as simply as it can be.
type model struct {
	here   map[int]time.Time // and since when
	held   map[towpath.ProjectName]map[int]bool
	placed map[towpath.ProjectName]map[int]bool
	rule   map[towpath.ProjectName]*towpath.PlaceRule // nil: no place
	far    map[int]bool
	down   bool
	using  map[int]bool
}

func newModel() *model {
	m := &model{here: map[int]time.Time{}, far: map[int]bool{}, using: map[int]bool{}, rule: map[towpath.ProjectName]*towpath.PlaceRule{}}
	m.held = map[towpath.ProjectName]map[int]bool{shop: {}, other: {}}
	m.placed = map[towpath.ProjectName]map[int]bool{shop: {}, other: {}}
	return m
}

func (m *model) isHeld(i int) bool   { return m.held[shop][i] || m.held[other][i] }
func (m *model) isPlaced(i int) bool { return m.placed[shop][i] || m.placed[other][i] }
func (m *model) active(p towpath.ProjectName) bool {
	return m.rule[p] != nil && m.rule[p].Leaving.IsZero()
}

// free reports whether a layer may go.
func (m *model) free(i int) bool {
	if !m.isHeld(i) || m.using[i] {
		return false
	}
	for p := range m.held {
		if m.held[p][i] && (!m.placed[p][i] || !m.active(p)) {
			return false
		}
	}
	return true
}

// letGo is one pass; it reports whether the pass fails.
func (m *model) letGo(now time.Time) (fails bool) {
	for _, p := range []towpath.ProjectName{other, shop} { // in the order of rules
		if !m.active(p) {
			continue
		}
		var all []int
		for i := range m.placed[p] {
			if _, here := m.here[i]; here {
				all = append(all, i)
			}
		}
		slices.SortFunc(all, func(a, b int) int {
			if c := m.here[a].Compare(m.here[b]); c != 0 {
				return c
			}
			return slices.Compare([]byte(digestOf(a)), []byte(digestOf(b)))
		})
		sum := int64(len(all)) * size()
		for _, i := range all {
			age := now.Sub(m.here[i])
			if age < fresh || age < m.rule[p].Keep && (m.rule[p].Cache == 0 || sum <= m.rule[p].Cache) {
				break
			}
			sum -= size()
			if m.down {
				fails = true
				break
			}
			if !m.far[i] {
				delete(m.placed[p], i)
			} else if m.held[p][i] && m.free(i) {
				delete(m.here, i)
			}
		}
	}
	for p := range m.placed {
		for i := range m.placed[p] {
			if !m.isHeld(i) {
				delete(m.placed[p], i)
			}
		}
	}
	return fails
}

// bringBack is one attempt to end a place; it reports whether that fails.
func (m *model) bringBack(p towpath.ProjectName, now time.Time) (fails bool) {
	for i := range m.placed[p] {
		if _, here := m.here[i]; here || !m.isHeld(i) {
			continue
		}
		if m.down || !m.far[i] {
			fails = true
			continue
		}
		m.here[i] = now
	}
	if !fails {
		m.rule[p], m.placed[p] = nil, map[int]bool{}
	}
	return fails
}

// Whatever happens in whatever order, on two servers: what is here is what the
// model says, everything that is needed and not lost by its place can be read,
// and what can't says that its place is down, or has lost it.
func TestKeeper(t *testing.T) {
	dbtest.Each(t, func(outer *testing.T, db *sqldb.DB) {
		rapid.Check(outer, func(t *rapid.T) {
			y := newYard(t, db, outer.TempDir(), fresh)
			y.found()
			m := newModel()
			layers := rapid.IntRange(0, most-1)
			projects := rapid.SampledFrom([]towpath.ProjectName{shop, other})
			ctx := context.Background()
			server := func(t *rapid.T) *place.Keeper { return y.servers[rapid.IntRange(0, 1).Draw(t, "server")] }
			publish := func(t *rapid.T, p towpath.ProjectName, i int) {
				s := server(t)
				if err := s.Touch(ctx, digestOf(i), y.now()); err != nil {
					if kind(err) != towpath.KindNotFound || y.put(s, i) != nil {
						t.Fatal(err)
					}
				}
				m.here[i] = y.now()
				if err := y.link(s, p, i); err != nil {
					t.Fatal(err)
				}
				m.held[p][i] = true
			}
			copied := func(t *rapid.T, p towpath.ProjectName, i int) {
				if _, here := m.here[i]; !m.held[p][i] || m.rule[p] == nil || m.down || !here && !m.far[i] {
					return
				}
				if err := y.copied(p, i); err != nil {
					t.Fatal(err)
				}
				m.far[i] = true
				if m.active(p) {
					m.placed[p][i] = true
				}
			}
			begin := func(t *rapid.T, p towpath.ProjectName) {
				if m.rule[p] != nil {
					return
				}
				rule := ruleOf(p)
				rule.Place.Cache = rapid.SampledFrom([]int64{0, size()}).Draw(t, "cache")
				y.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertReplicationRule(ctx, rule) })
				m.rule[p] = rule.Place
			}
			letGo := func(t *rapid.T) {
				fails := m.letGo(y.now())
				if _, err := server(t).LetGo(ctx); fails != (err != nil) || fails && kind(err) != towpath.KindUnavailable {
					t.Fatalf("got %v, want an error: %v", err, fails)
				}
			}
			end := func(t *rapid.T, p towpath.ProjectName) {
				if m.rule[p] == nil {
					return
				}
				rule := ruleOf(p)
				rule.Place = m.rule[p]
				rule.Place.Leaving = y.now()
				y.update(func(ctx context.Context, tx *store.Tx) error { return tx.SaveReplicationRule(ctx, rule) })
				fails := m.bringBack(p, y.now())
				if err := server(t).BringBack(ctx, rule); fails != (err != nil) {
					t.Fatalf("got %v, want an error: %v", err, fails)
				}
			}
			begin(t, shop)
			t.Repeat(map[string]func(*rapid.T){
				"publish": func(t *rapid.T) { publish(t, projects.Draw(t, "project"), layers.Draw(t, "layer")) },
				"publish and copy": func(t *rapid.T) {
					p, i := projects.Draw(t, "project"), layers.Draw(t, "layer")
					publish(t, p, i)
					copied(t, p, i)
				},
				"publish in both, and copy": func(t *rapid.T) {
					i := layers.Draw(t, "layer")
					for _, p := range []towpath.ProjectName{shop, other} {
						begin(t, p)
						publish(t, p, i)
						copied(t, p, i)
					}
				},
				"copy":         func(t *rapid.T) { copied(t, projects.Draw(t, "project"), layers.Draw(t, "layer")) },
				"have a place": func(t *rapid.T) { begin(t, projects.Draw(t, "project")) },
				"let go":       letGo,
				"let go when it is time": func(t *rapid.T) {
					y.pass(rapid.SampledFrom([]time.Duration{fresh, keep}).Draw(t, "how long"))
					letGo(t)
				},
				"read": func(t *rapid.T) {
					i := layers.Draw(t, "layer")
					_, here := m.here[i]
					err := y.read(server(t), i)
					want := towpath.Kind("")
					switch {
					case here:
					case !m.isPlaced(i):
						want = towpath.KindNotFound
					case m.down:
						want = towpath.KindUnavailable
					case !m.far[i]:
						want = towpath.KindInternal
					default:
						m.here[i] = y.now()
					}
					if kind(err) != want {
						t.Fatalf("layer %d: %v, want %q", i, err, want)
					}
					if want == towpath.KindNotFound && m.isHeld(i) {
						t.Fatalf("layer %d is needed, and nobody knows of it", i)
					}
				},
				"give up": func(t *rapid.T) {
					p, i := projects.Draw(t, "project"), layers.Draw(t, "layer")
					y.update(func(ctx context.Context, tx *store.Tx) error {
						return tx.UnlinkBlob(ctx, towpath.ReleaseRepository(p), digestOf(i))
					})
					delete(m.held[p], i)
				},
				"lose there": func(t *rapid.T) {
					i := layers.Draw(t, "layer")
					y.far.lose(digestOf(i))
					delete(m.far, i)
				},
				"go down or up": func(t *rapid.T) { m.down = !m.down; y.far.setDown(m.down) },
				"use": func(t *rapid.T) {
					i := layers.Draw(t, "layer")
					m.using[i] = !m.using[i]
					y.using.layers[digestOf(i)] = m.using[i]
				},
				"end": func(t *rapid.T) { end(t, projects.Draw(t, "project")) },
				"let go, end in vain, and let go": func(t *rapid.T) {
					letGo(t)
					m.down = true
					y.far.setDown(true)
					end(t, projects.Draw(t, "project"))
					m.down = false
					y.far.setDown(false)
					y.pass(keep)
					letGo(t)
				},
				"pass time": func(t *rapid.T) {
					y.pass(rapid.SampledFrom([]time.Duration{time.Second, fresh, keep}).Draw(t, "how long"))
				},
				"": func(t *rapid.T) {
					for i := range most {
						if _, want := m.here[i]; y.here(i) != want {
							t.Fatalf("layer %d is here: %v, want %v", i, !want, want)
						}
					}
				},
			})
		})
	})
}
