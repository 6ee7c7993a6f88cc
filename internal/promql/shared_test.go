package promql_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// clocked is a database whose clock a test sets.
type clocked struct {
	db *sqldb.DB
	at *time.Time
}

func (c clocked) Now(context.Context) (time.Time, error) { return *c.at, nil }

func (c clocked) Put(ctx context.Context, id string, body []byte) error {
	err := store.NewSampleBatches(c.db).Put(ctx, id, body)
	_, set := c.db.Exec(ctx, `UPDATE sample_batch SET at = $1 WHERE id = $2`, sqldb.Micros(*c.at), id)
	return errors.Join(err, set)
}

func (c clocked) After(ctx context.Context, at time.Time, limit int) ([]towpath.SampleBatch, error) {
	return store.NewSampleBatches(c.db).After(ctx, at, limit)
}

func (c clocked) Bodies(ctx context.Context, ids []string) ([]towpath.SampleBatch, error) {
	return store.NewSampleBatches(c.db).Bodies(ctx, ids)
}

func (c clocked) Forget(ctx context.Context, before time.Time, most int64) error {
	return store.NewSampleBatches(c.db).Forget(ctx, before, most)
}

// server is the source of a server on the database, whose clock is right.
func (c clocked) server(t *testing.T, cfg promql.EmbeddedConfig) *promql.Shared {
	t.Helper()
	return promql.NewShared(promql.SharedConfig{Now: func() time.Time { return *c.at }}, embedded(t, cfg), c)
}

// servers are sources of servers on one PostgreSQL.
func servers(t *testing.T, n int) (out []*promql.Shared) {
	t.Helper()
	batches := store.NewSampleBatches(dbtest.Postgres(t))
	for range n {
		out = append(out, promql.NewShared(promql.SharedConfig{Now: time.Now}, embedded(t, promql.EmbeddedConfig{}), batches))
	}
	return out
}

func push(t *testing.T, s *promql.Shared, samples ...towpath.MetricSample) {
	t.Helper()
	if left := must(s.Append(t.Context(), samples))(t); left > 0 {
		t.Fatalf("%d samples were left out", left)
	}
}

// value is the one value that a query answers now.
func value(t *testing.T, s promql.Source, query string, at time.Time) float64 {
	t.Helper()
	got := must(s.Query(t.Context(), query, at))(t)
	if len(got) != 1 {
		t.Fatalf("%s: %v", query, got)
	}
	return got[0].Value
}

// TestShared_AnswersWhatAnyServerWasTold: at once, and in the order in which it
// was told, whichever servers it was: a counter never seems to fall.
func TestShared_AnswersWhatAnyServerWasTold(t *testing.T) {
	all := servers(t, 3)
	last := time.Now()
	for i := range 30 {
		for time.Since(last) < 2*time.Millisecond { // which samples are told apart by
			must(all[i%3].Pass(t.Context()))(t)
		}
		last = time.Now()
		push(t, all[i%3], sample(float64(i), "__name__", "n_total"))
		asked := all[(i+1+i/3)%3]
		if got := value(t, asked, "n_total", time.Now()); got != float64(i) {
			t.Fatalf("a server answers %v after %d was pushed to another", got, i)
		}
	}
	for i, s := range all {
		if got := value(t, s, "resets(n_total[1m])", time.Now()); got != 0 {
			t.Errorf("on server %d the counter fell %v times", i, got)
		}
		if got := value(t, s, "count_over_time(n_total[1m])", time.Now()); got != 30 {
			t.Errorf("server %d has %v samples", i, got)
		}
	}
}

// TestShared_HasNoClockOfItsOwn: one server's clock is wrong, and what it was told
// and answers is of the right time all the same.
func TestShared_HasNoClockOfItsOwn(t *testing.T) {
	right := clocked{dbtest.SQLite(t), new(noon)}
	for _, off := range []time.Duration{-time.Hour, -5 * time.Second, 5 * time.Second, time.Hour} {
		wrong := promql.NewShared(promql.SharedConfig{Now: func() time.Time { return right.at.Add(off) }}, embedded(t, promql.EmbeddedConfig{}), right)
		other := right.server(t, promql.EmbeddedConfig{})
		name := fmt.Sprintf("off_%d", int64(off.Seconds()+3600))
		for i := range 6 {
			*right.at = right.at.Add(time.Second)
			told, asked := wrong, other
			now := *right.at
			if i%2 == 0 {
				told, asked, now = other, wrong, right.at.Add(off)
			}
			push(t, told, sample(float64(i), "__name__", name))
			if got := value(t, asked, name, now); got != float64(i) {
				t.Errorf("off by %s, it answers %v instead of %d", off, got, i)
			}
		}
		series := must(wrong.Range(t.Context(), name, right.at.Add(off), right.at.Add(off), time.Second))(t)
		if len(series) != 1 || !series[0].Points[0].At.Equal(right.at.Add(off)) {
			t.Errorf("off by %s, a range answers %v", off, series)
		}
	}
}

// TestShared_GoesOnAfterARestart: it has what it had, and takes in what others were
// told meanwhile; what it takes in twice counts once.
func TestShared_GoesOnAfterARestart(t *testing.T) {
	db := clocked{dbtest.SQLite(t), new(noon)}
	cfg := promql.EmbeddedConfig{Dir: filepath.Join(t.TempDir(), "metrics")}
	other := db.server(t, promql.EmbeddedConfig{})
	told := 0
	for round := range 3 {
		engine := must(promql.OpenEmbedded(cfg))(t)
		s := promql.NewShared(promql.SharedConfig{Now: func() time.Time { return *db.at }}, engine, db)
		for _, to := range []*promql.Shared{s, other, s} {
			*db.at = db.at.Add(time.Second)
			push(t, to, sample(float64(told), "__name__", "n_total"))
			told++
			if got := value(t, s, "count_over_time(n_total[5m])", *db.at); got != float64(told) {
				t.Errorf("round %d: %v of %d samples", round, got, told)
			}
		}
		if err := engine.Close(); err != nil {
			t.Fatal(err)
		}
		*db.at = db.at.Add(time.Second) // while it is away
		push(t, other, sample(float64(told), "__name__", "n_total"))
		told++
	}
	fresh := db.server(t, promql.EmbeddedConfig{})
	if got := value(t, fresh, "count_over_time(n_total[5m])", *db.at); got != float64(told) {
		t.Errorf("a new server has %v of %d samples", got, told)
	}
}

// TestShared_TakesWhatIsCommittedLate: a batch has its time before others see it.
func TestShared_TakesWhatIsCommittedLate(t *testing.T) {
	db := clocked{dbtest.SQLite(t), new(noon)}
	told, asked := db.server(t, promql.EmbeddedConfig{}), db.server(t, promql.EmbeddedConfig{})
	early := *db.at
	*db.at = early.Add(20 * time.Second)
	push(t, told, sample(1, "__name__", "a", "of", "one"))
	if got := value(t, asked, "count(a)", *db.at); got != 1 {
		t.Errorf("%v series", got)
	}
	seen := *db.at
	*db.at = early
	push(t, told, sample(1, "__name__", "a", "of", "another"))
	*db.at = seen.Add(time.Second)
	if got := value(t, asked, "count(a)", *db.at); got != 2 {
		t.Errorf("%v series", got)
	}
}

// TestShared_TakesInLittleAtOnce: one that was away for long has all of it in the
// end, and an answer waits for that.
func TestShared_TakesInLittleAtOnce(t *testing.T) {
	db := clocked{dbtest.SQLite(t), new(noon)}
	told := db.server(t, promql.EmbeddedConfig{})
	const many = 300
	for i := range many {
		*db.at = db.at.Add(10 * time.Millisecond)
		push(t, told, sample(float64(i), "__name__", "n_total"))
	}
	s := db.server(t, promql.EmbeddedConfig{})
	passes := 1
	for must(s.Pass(t.Context()))(t) {
		passes++
	}
	if passes < 4 || passes > 8 {
		t.Errorf("%d passes for %d batches", passes, many)
	}
	for _, s := range []promql.Source{s, db.server(t, promql.EmbeddedConfig{})} {
		if got := value(t, s, "count_over_time(n_total[5m])", *db.at); got != many {
			t.Errorf("%v of %d samples", got, many)
		}
	}
}

// TestShared_GivesUpWhatIsOld: what is kept for servers that were away is bounded.
func TestShared_GivesUpWhatIsOld(t *testing.T) {
	db := clocked{dbtest.SQLite(t), new(noon)}
	s := db.server(t, promql.EmbeddedConfig{})
	kept := func() (n int) {
		t.Helper()
		if err := db.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM sample_batch`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 50 {
		*db.at = db.at.Add(time.Minute)
		push(t, s, sample(1, "__name__", "a"))
		must(s.Pass(t.Context()))(t)
	}
	if n := kept(); n < 30 || n > 31 {
		t.Errorf("%d batches are kept, and 30 minutes are wanted", n)
	}
}

// TestShared_SaysThatItDoesNotKnow: without the database nobody knows what others
// were told, and an old answer would be a wrong one.
func TestShared_SaysThatItDoesNotKnow(t *testing.T) {
	db := dbtest.SQLite(t)
	s := promql.NewShared(promql.SharedConfig{Now: time.Now}, embedded(t, promql.EmbeddedConfig{}), store.NewSampleBatches(db))
	push(t, s, sample(1, "__name__", "a"))
	if got := value(t, s, "a", time.Now()); got != 1 {
		t.Errorf("%v", got)
	}
	if _, err := db.Exec(t.Context(), `ALTER TABLE sample_batch RENAME TO away`); err != nil {
		t.Fatal(err)
	}
	_, err := s.Query(t.Context(), "a", time.Now())
	if m, _ := towpath.PublicMessage(err); towpath.KindOf(err) != towpath.KindUnavailable || !strings.Contains(m, "other servers") {
		t.Errorf("it says %v", err)
	}
	if _, err := db.Exec(t.Context(), `ALTER TABLE away RENAME TO sample_batch`); err != nil {
		t.Fatal(err)
	}
	if got := value(t, s, "a", time.Now()); got != 1 {
		t.Errorf("%v", got)
	}
}

// TestShared_PassesOverWhatItCantRead: a batch of another version stands in no
// other's way.
func TestShared_PassesOverWhatItCantRead(t *testing.T) {
	batches := store.NewSampleBatches(dbtest.SQLite(t))
	var said strings.Builder
	s := promql.NewShared(promql.SharedConfig{Now: time.Now, Log: slog.New(slog.NewTextHandler(&said, nil))}, embedded(t, promql.EmbeddedConfig{}), batches)
	for i, body := range []string{"", "no batch", "\x28\xb5\x2f\xfd\x04\x00\x19\x00\x00\x01\x05\x00"} {
		if err := batches.Put(t.Context(), fmt.Sprint("bad", i), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	push(t, s, sample(1, "__name__", "a"))
	for range 2 {
		if got := value(t, s, "a", time.Now()); got != 1 {
			t.Errorf("%v", got)
		}
	}
	if n := strings.Count(said.String(), "can't be read"); n < 2 || n > 3 {
		t.Errorf("it says\n%s", said.String())
	}
}
