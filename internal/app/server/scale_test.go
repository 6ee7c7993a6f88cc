package server

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// The size that the figures are promised for.
const (
	scaleReleases     = 10_000
	scaleEnvironments = 50
	scaleEvents       = 100_000
)

// newScale makes a server on SQLite that holds a large project.
func newScale(tb testing.TB) (*Server, towpath.Actor) {
	tb.Helper()
	ctx := context.Background()
	s, err := New(ctx, Config{Data: tb.TempDir(), Listen: "127.0.0.1:0", Version: "bench", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	if err := s.Register(ctx, shop, ""); err != nil {
		tb.Fatal(err)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	candidates := make([]towpath.Candidate, scaleReleases)
	for i := range candidates {
		d := towpath.HashOf("release", fmt.Sprint(i))
		candidates[i] = towpath.Candidate{
			ID: towpath.CandidateOf(d, d, "c"), Project: shop, Release: d, Provenance: d, Commit: towpath.CommitID(d.Hex()[:40]),
			Version: fmt.Sprintf("1.%d.0", i), Published: start.Add(time.Duration(i) * time.Minute), PublishedBy: "ana", Ref: "main",
		}
	}
	const batch = 1000
	for from := 0; from < scaleEvents; from += batch {
		err := s.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			for i := from; i < from+batch; i++ {
				if i < scaleReleases {
					c := candidates[i]
					if err := tx.InsertRelease(ctx, towpath.Release{Digest: c.Release, Project: shop, Published: c.Published}, c.Release); err != nil {
						return err
					}
					if err := tx.InsertVersion(ctx, towpath.VersionLabel{Project: shop, Version: c.Version, Release: c.Release, Published: c.Published}); err != nil {
						return err
					}
					if _, err := tx.InsertCandidate(ctx, c); err != nil {
						return err
					}
				}
				ev := towpath.NewEvent(start.Add(time.Duration(i)*time.Second), "ana", "release.published")
				ev.Project = shop
				if err := tx.Record(ctx, ev); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	err = s.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for i := range scaleEnvironments {
			c := candidates[i*100]
			env := towpath.Environment{
				Project: shop, Name: towpath.EnvironmentName(fmt.Sprintf("env-%02d", i)), Position: i,
				Candidate: c.ID, Release: c.Release, Version: c.Version, Since: c.Published,
				Rules: towpath.EnvironmentSpec{Place: "local", Branch: fmt.Sprintf("env-%02d", i)},
			}
			if _, err := tx.InsertEnvironment(ctx, env); err != nil {
				return err
			}
			for _, name := range []towpath.ComponentName{"api", "web", "worker", "db"} {
				t := towpath.Target{Project: shop, Environment: env.Name, Component: name, Place: "local", Slot: towpath.SlotMain}
				if err := tx.SaveRunning(ctx, t, rollout.Running{Component: name, Place: "local", Revision: "rev_1", Rendered: []byte("{}")}); err != nil {
					return err
				}
				if err := tx.SaveObservation(ctx, towpath.Observation{Target: t, Revision: "rev_1", Health: towpath.HealthHealthy, At: time.Now()}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	for {
		n, err := s.ledger.Sequencer().RunOnce(ctx)
		if err != nil {
			tb.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	return s, towpath.Actor{Account: "ana", Grants: []towpath.Grant{{Role: towpath.RoleAdmin}, {Role: towpath.RoleViewer}}}
}

// BenchmarkServer_AtScale measures what people wait for at 10,000 releases, 50
// environments and 100,000 events on SQLite. The aim is 200 ms an answer.
func BenchmarkServer_AtScale(b *testing.B) {
	s, actor := newScale(b)
	ctx := context.Background()
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			st, err := s.services.Inventory.Status(ctx, actor, shop, "")
			if err != nil || len(st) != scaleEnvironments {
				b.Fatal(len(st), err)
			}
		}
	})
	b.Run("release list", func(b *testing.B) {
		for b.Loop() {
			l, err := s.services.Releases.List(ctx, actor, shop, release.Page{Limit: 50})
			if err != nil || len(l.Items) != 50 {
				b.Fatal(err)
			}
		}
	})
	b.Run("release list, a late page", func(b *testing.B) {
		l, err := s.services.Releases.List(ctx, actor, shop, release.Page{Limit: 500})
		for range 15 {
			if err == nil {
				l, err = s.services.Releases.List(ctx, actor, shop, release.Page{Limit: 500, Cursor: l.Next})
			}
		}
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := s.services.Releases.List(ctx, actor, shop, release.Page{Limit: 50, Cursor: l.Next}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("release show by a prefix", func(b *testing.B) {
		name := towpath.HashOf("release", "77").Hex()[:10]
		for b.Loop() {
			err := s.store.View(ctx, func(ctx context.Context, tx *store.Tx) error {
				found, err := tx.FindCandidates(ctx, shop, name, towpath.MaxMeanings)
				if err == nil && len(found) != 1 {
					b.Fatal(len(found))
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkServer_AtScaleByAPI measures the same as a client gets it: over
// loopback, with authentication and JSON, from a server that runs.
func BenchmarkServer_AtScaleByAPI(b *testing.B) {
	s, _ := newScale(b)
	ctx, cancel := context.WithCancel(context.Background())
	token, err := s.Account(ctx, "ana", nil, []towpath.Role{towpath.RoleAdmin, towpath.RoleViewer}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	c, err := client.New(client.Config{URL: s.URL(), Token: client.Token(token.Secret)})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			st, err := c.Status(ctx, shop, "")
			if err != nil || len(st.Environments) != scaleEnvironments {
				b.Fatal(len(st.Environments), err)
			}
		}
	})
	b.Run("status of one environment", func(b *testing.B) {
		for b.Loop() {
			st, err := c.Status(ctx, shop, "env-07")
			if err != nil || len(st.Environments) != 1 {
				b.Fatal(len(st.Environments), err)
			}
		}
	})
	b.Run("release list", func(b *testing.B) {
		for b.Loop() {
			l, err := c.Releases(ctx, shop, client.Page{Limit: 50})
			if err != nil || len(l.Items) != 50 {
				b.Fatal(len(l.Items), err)
			}
		}
	})
	b.Run("release list, a late page", func(b *testing.B) {
		l, err := c.Releases(ctx, shop, client.Page{Limit: 500})
		for range 15 {
			if err == nil {
				l, err = c.Releases(ctx, shop, client.Page{Limit: 500, Cursor: l.Next})
			}
		}
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			page, err := c.Releases(ctx, shop, client.Page{Limit: 50, Cursor: l.Next})
			if err != nil || len(page.Items) != 50 {
				b.Fatal(len(page.Items), err)
			}
		}
	})
	b.Run("audit list", func(b *testing.B) {
		for b.Loop() {
			l, err := c.Events(ctx, client.EventFilter{Project: shop, Newest: true, Limit: 100})
			if err != nil || len(l.Items) != 100 {
				b.Fatal(len(l.Items), err)
			}
		}
	})
}
