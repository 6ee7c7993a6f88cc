package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// events keeps nothing: the ledger has a suite of its own.
type events struct{}

func (events) Append(context.Context, *sqldb.Tx, towpath.Event) error { return nil }

const shop = towpath.ProjectName("shop")

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// each runs a test on every database, in a project that exists.
func each(t *testing.T, f func(t *testing.T, s *store.Store)) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := store.New(db, events{}, nil)
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertProject(ctx, towpath.Project{Name: shop, Repository: "/repo", CreatedAt: noon})
		})
		f(t, s)
	})
}

func update(t *testing.T, s *store.Store, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), f); err != nil {
		t.Fatalf("%v (%v)", err, errors.Unwrap(err))
	}
}

func wantKind(t *testing.T, err error, kind towpath.Kind) {
	t.Helper()
	if towpath.KindOf(err) != kind {
		t.Fatalf("error %v, want of kind %s", err, kind)
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func publish(t *testing.T, s *store.Store, version string, at time.Time) towpath.Candidate {
	t.Helper()
	d := towpath.HashOf(version)
	c := towpath.Candidate{
		ID: towpath.CandidateOf(d, d, "c"), Project: shop, Release: d, Provenance: d, Commit: towpath.CommitID(d.Hex()[:40]),
		Version: version, Published: at, PublishedBy: "ana",
	}
	update(t, s, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertRelease(ctx, towpath.Release{Digest: d, Project: shop, Size: 7, Published: at}, d); err != nil {
			return err
		}
		if err := tx.InsertVersion(ctx, towpath.VersionLabel{Project: shop, Version: version, Release: d, Published: at}); err != nil {
			return err
		}
		_, err := tx.InsertCandidate(ctx, c)
		return err
	})
	return c
}

func TestStore_Versions(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		a := publish(t, s, "1.0.0", noon)
		b := publish(t, s, "1.1.0", noon.Add(time.Minute))
		label := func(version string, d towpath.Digest) error {
			return s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertVersion(ctx, towpath.VersionLabel{Project: shop, Version: version, Release: d, Published: noon})
			})
		}
		t.Run("a label never moves to other content", func(t *testing.T) {
			wantKind(t, label("1.0.0", b.Release), towpath.KindConflict)
		})
		t.Run("the same label on the same content changes nothing", func(t *testing.T) {
			wantKind(t, label("1.0.0", a.Release), "")
		})
		t.Run("a release may have several labels", func(t *testing.T) {
			wantKind(t, label("1.0.0+rebuilt", a.Release), "")
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				v, err := tx.Versions(ctx, shop, a.Release)
				equal(t, len(v), 2)
				return err
			})
		})
	})
}

func TestStore_FindCandidates(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		a := publish(t, s, "1.0.0", noon)
		publish(t, s, "1.1.0", noon.Add(time.Minute))
		for name, tt := range map[string]struct {
			name string
			want int
		}{
			"by version":                     {"1.0.0", 1},
			"by digest":                      {string(a.Release), 1},
			"by the beginning of a digest":   {a.Release.Hex()[:8], 1},
			"by candidate":                   {string(a.ID), 1},
			"by the beginning of one":        {string(a.ID)[:12], 1},
			"by commit":                      {string(a.Commit), 1},
			"a pattern is not a name":        {"%%%%", 0},
			"an underscore is no wildcard":   {"____", 0},
			"too short to mean one":          {"sha", 0},
			"what does not exist is nothing": {"9.9.9", 0},
		} {
			t.Run(name, func(t *testing.T) {
				update(t, s, func(ctx context.Context, tx *store.Tx) error {
					got, err := tx.FindCandidates(ctx, shop, tt.name, 10)
					if len(got) != tt.want {
						t.Errorf("%q finds %d, want %d", tt.name, len(got), tt.want)
					}
					if len(got) == 1 {
						equal(t, got[0], a)
					}
					return err
				})
			})
		}
	})
}

func TestStore_CandidatesPage(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		var want []towpath.CandidateID
		for i := range 7 { // three share a time: the ID decides
			c := publish(t, s, "1.0."+string(rune('0'+i)), noon.Add(time.Duration(i/3)*time.Minute))
			want = append(want, c.ID)
		}
		var got []towpath.CandidateID
		var at time.Time
		var id towpath.CandidateID
		for {
			var page []towpath.Candidate
			update(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
				page, err = tx.Candidates(ctx, shop, at, id, 2)
				return err
			})
			if len(page) == 0 {
				break
			}
			for _, c := range page {
				got = append(got, c.ID)
			}
			at, id = page[len(page)-1].Published, page[len(page)-1].ID
		}
		seen := map[towpath.CandidateID]bool{}
		for _, id := range got {
			seen[id] = true
		}
		if len(got) != len(want) || len(seen) != len(want) {
			t.Fatalf("pages list %d candidates, %d distinct, want %d", len(got), len(seen), len(want))
		}
	})
}

func TestStore_Environments(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		env := towpath.Environment{Project: shop, Name: "prod", Position: 2, Rules: towpath.EnvironmentSpec{Name: "prod", Place: "local"}}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			for range 2 {
				if _, err := tx.InsertEnvironment(ctx, env); err != nil {
					return err
				}
			}
			return nil
		})
		t.Run("a write on an old reading is refused", func(t *testing.T) {
			var old towpath.Environment
			update(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
				old, err = tx.LockEnvironment(ctx, shop, "prod")
				return err
			})
			save := func() error {
				return s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.SaveEnvironment(ctx, old) })
			}
			wantKind(t, save(), "")
			wantKind(t, save(), towpath.KindConflict)
		})
		t.Run("one that does not exist is not found", func(t *testing.T) {
			err := s.View(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Environment(ctx, shop, "qa")
				return err
			})
			wantKind(t, err, towpath.KindNotFound)
		})
	})
}

func TestStore_Deployments(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		insert := func(id towpath.DeploymentID, phase towpath.DeploymentPhase) error {
			return s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertDeployment(ctx, towpath.Deployment{
					ID: id, Project: shop, Environment: "prod", Phase: phase, CreatedAt: noon,
					Components: []towpath.Rollout{{Component: "api"}},
				})
			})
		}
		wantKind(t, insert("dep_1", towpath.DeploymentPreparing), "")
		t.Run("the database refuses a second active one", func(t *testing.T) {
			wantKind(t, insert("dep_2", towpath.DeploymentPreparing), towpath.KindLocked)
		})
		t.Run("ended ones are as many as there were", func(t *testing.T) {
			wantKind(t, insert("dep_3", towpath.DeploymentSucceeded), "")
			wantKind(t, insert("dep_4", towpath.DeploymentRolledBack), "")
		})
		t.Run("every environment is told of, and whether it waits for a person", func(t *testing.T) {
			asking := func(name towpath.EnvironmentName, asks bool) deploy.Asking {
				return deploy.Asking{Project: shop, Environment: name, Asks: asks}
			}
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				for _, e := range []towpath.EnvironmentName{"prod", "dev"} {
					if _, err := tx.InsertEnvironment(ctx, towpath.Environment{Project: shop, Name: e}); err != nil {
						return err
					}
				}
				got, err := tx.Asking(ctx)
				equal(t, got, []deploy.Asking{asking("dev", false), asking("prod", false)})
				if err != nil {
					return err
				}
				d, err := tx.Deployment(ctx, "dep_1")
				if err != nil {
					return err
				}
				d.Asks = true
				if err := tx.SaveDeployment(ctx, d); err != nil {
					return err
				}
				got, err = tx.Asking(ctx)
				equal(t, got, []deploy.Asking{asking("dev", false), asking("prod", true)})
				return err
			})
		})
		t.Run("its steps are its operations", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.InsertOperation(ctx, operation("op_1", "api", noon))
				return err
			})
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				d, err := tx.Deployment(ctx, "dep_1")
				equal(t, len(d.Components[0].Steps), 1)
				return err
			})
		})
		t.Run("a step has the weight of its operation", func(t *testing.T) {
			shift := operation("op_2", "api", noon.Add(time.Second))
			shift.Verb, shift.Spec.Weight = towpath.VerbShift, 25
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.InsertOperation(ctx, shift)
				return err
			})
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				d, err := tx.Deployment(ctx, "dep_1")
				equal(t, d.Components[0].Steps[1].Weight, 25)
				return err
			})
		})
		t.Run("its counts come in the order of time, each moment once", func(t *testing.T) {
			count := func(second int) towpath.TrafficCount {
				return towpath.TrafficCount{
					Target: operation("", "api", noon).Target, At: noon.Add(-time.Duration(second) * time.Second), Bounds: []float64{1}, // the place's clock orders nothing
					Received:  noon.Add(time.Duration(second) * time.Second),
					Revisions: []towpath.RevisionCount{{Revision: "rev_1", Weight: 95, Requests: uint64(second), Buckets: []uint64{1, 2}}},
				}
			}
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				first, last, err := tx.TrafficCountSpan(ctx, "dep_1", "api")
				equal(t, first.IsZero() && last.Received.IsZero(), true)
				return errors.Join(err, tx.InsertTrafficCount(ctx, "dep_1", count(2)), tx.InsertTrafficCount(ctx, "dep_1", count(1)),
					tx.InsertTrafficCount(ctx, "dep_1", count(2)))
			})
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				first, last, err := tx.TrafficCountSpan(ctx, "dep_1", "api")
				equal(t, first, count(1).Received)
				equal(t, last, count(2))
				all, err2 := tx.TrafficCounts(ctx, "dep_1", "api")
				equal(t, all, []towpath.TrafficCount{count(1), count(2)})
				err4 := tx.ForgetTrafficCounts(ctx, count(2).Received)
				left, err5 := tx.TrafficCounts(ctx, "dep_1", "api")
				equal(t, left, []towpath.TrafficCount{count(2)})
				err2 = errors.Join(err2, err4, err5)
				none, err3 := tx.TrafficCounts(ctx, "dep_1", "web")
				equal(t, len(none), 0)
				return errors.Join(err, err2, err3)
			})
		})
		t.Run("a page ends where the next begins", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				first, err := tx.Deployments(ctx, deploy.Filter{Project: shop}, 2)
				equal(t, len(first), 2)
				rest, err2 := tx.Deployments(ctx, deploy.Filter{Project: shop, Environment: "prod", Cursor: string(first[1].ID)}, 5)
				equal(t, len(rest), 1)
				return errors.Join(err, err2)
			})
		})
		t.Run("what brings something is found behind any number of repairs", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				for _, id := range []towpath.DeploymentID{"dep_5", "dep_6", "dep_7", "dep_8"} {
					if err := tx.InsertDeployment(ctx, towpath.Deployment{
						ID: id, Project: shop, Environment: "prod", Kind: towpath.DeploymentRepair, Phase: towpath.DeploymentFailed, CreatedAt: noon,
					}); err != nil {
						return err
					}
				}
				for _, x := range []struct {
					limit int
					from  string
					want  []towpath.DeploymentID
				}{
					{1, "", []towpath.DeploymentID{"dep_4"}},
					{2, "", []towpath.DeploymentID{"dep_4", "dep_3"}},
					{9, "", []towpath.DeploymentID{"dep_4", "dep_3", "dep_1"}},
					{2, "dep_6", []towpath.DeploymentID{"dep_4", "dep_3"}},
					{2, "dep_4", []towpath.DeploymentID{"dep_3", "dep_1"}},
					{1, "dep_1", nil},
				} {
					found, err := tx.Deployments(ctx, deploy.Filter{Project: shop, Environment: "prod", Brings: true, Cursor: x.from}, x.limit)
					if err != nil {
						return err
					}
					var got []towpath.DeploymentID
					for _, d := range found {
						got = append(got, d.ID)
						if d.ID == "dep_1" {
							equal(t, len(d.Components[0].Steps), 2)
						}
					}
					equal(t, got, x.want)
				}
				return nil
			})
		})
	})
}

func TestStore_ReleasesOf(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		content, layer := towpath.HashOf("content"), towpath.HashOf("layer")
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			for _, p := range []towpath.ProjectName{shop, "web"} {
				r := towpath.Release{Project: p, Digest: towpath.HashOf(string(p)), Published: noon}
				a := towpath.Artifact{
					Repository: towpath.RepositoryName(p), Digest: r.Digest, MediaType: towpath.MediaTypeManifest, Pushed: noon,
					References: []towpath.Reference{{Digest: content}, {Digest: layer}},
				}
				if p != shop {
					if err := tx.InsertProject(ctx, towpath.Project{Name: p, Repository: "/repo", CreatedAt: noon}); err != nil {
						return err
					}
				}
				if err := errors.Join(tx.InsertRelease(ctx, r, content), tx.OpenRepository(ctx, a.Repository, noon), tx.SaveArtifact(ctx, a)); err != nil {
					return err
				}
			}
			return nil
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			got, err := tx.ReleasesOf(ctx, content)
			equal(t, got, []towpath.Release{{Project: shop, Digest: towpath.HashOf("shop")}, {Project: "web", Digest: towpath.HashOf("web")}})
			none, layerErr := tx.ReleasesOf(ctx, layer)
			equal(t, none, nil)
			return errors.Join(err, layerErr)
		})
	})
}
