package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// BenchmarkStore_Operations asks what an agent asks of a place where 200 operations
// are open and 2,000 have ended: of what may be claimed within everything and
// within one project of 20, and of who needs a blob.
func BenchmarkStore_Operations(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := store.New(open(b), events{}, nil)
			layer := towpath.HashOf("layer")
			err := s.Update(b.Context(), func(ctx context.Context, tx *store.Tx) error {
				for i := range 2200 {
					op := operation(towpath.OperationID(fmt.Sprintf("op_%04d", i)), towpath.ComponentName(fmt.Sprintf("c%d", i)), noon)
					op.Target.Project = towpath.ProjectName(fmt.Sprintf("p%02d", i%20))
					op.Spec.Rendered = fmt.Appendf(nil, `{"padding":"%01000d"}`, i)
					if i >= 200 {
						op.Phase = towpath.OperationSucceeded
					}
					if i == 0 {
						op.Spec.Layer = layer
					}
					if _, err := tx.InsertOperation(ctx, op); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			for name, ask := range map[string]func(context.Context, *store.Tx) ([]towpath.Operation, error){
				"claim of all": func(ctx context.Context, tx *store.Tx) ([]towpath.Operation, error) {
					return tx.Claimable(ctx, "local", access.Scope{All: true}, "s1", noon.Add(time.Second), 8)
				},
				"claim of a project": func(ctx context.Context, tx *store.Tx) ([]towpath.Operation, error) {
					return tx.Claimable(ctx, "local", access.Scope{In: []access.Subject{{Project: "p07"}}}, "s1", noon.Add(time.Second), 8)
				},
				"blob": func(ctx context.Context, tx *store.Tx) ([]towpath.Operation, error) {
					return tx.OpenOperations(ctx, []towpath.PlaceName{"local"}, string(layer))
				},
			} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						var got []towpath.Operation
						err := s.Update(b.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
							got, err = ask(ctx, tx)
							return err
						})
						if err != nil || len(got) == 0 {
							b.Fatal(len(got), err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkStore_Forget gives up old counts where there are 200,000, and none is old.
func BenchmarkStore_Forget(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := store.New(open(b), events{}, nil)
			err := s.Update(b.Context(), func(ctx context.Context, tx *store.Tx) error {
				if err := tx.InsertDeployment(ctx, towpath.Deployment{ID: "dep_1", Project: shop, Environment: "dev", CreatedAt: noon}); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, `INSERT INTO traffic_count (deployment, component, at, doc)
					WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
					SELECT 'dep_1', 'api', CAST($1 AS BIGINT) + i, '`+strings.Repeat("x", 1000)+`' FROM n`, sqldb.Micros(noon))
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := s.Update(b.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.ForgetTrafficCounts(ctx, noon) }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
