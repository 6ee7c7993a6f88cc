package sqldb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/faultdb"
)

// crowd has transactions wait for one that is open, and lets it end: they share
// a commit, in the order in which they came.
type crowd struct {
	t       *testing.T
	db      *DB
	release chan struct{}
	all     sync.WaitGroup
	errs    []error
}

func newCrowd(t *testing.T, db *DB, size int) *crowd {
	c := &crowd{t: t, db: db, release: make(chan struct{}), errs: make([]error, size)}
	open := make(chan struct{})
	c.all.Go(func() {
		once := sync.OnceFunc(func() { close(open); <-c.release })
		if err := db.InTx(t.Context(), func(context.Context, *Tx) error { once(); return nil }); err != nil {
			t.Error(err)
		}
	})
	<-open
	return c
}

// add has one more wait.
func (c *crowd) add(ctx context.Context, i int, f func(ctx context.Context, tx *Tx) error) {
	c.t.Helper()
	before := c.waiting()
	c.all.Go(func() { c.errs[i] = c.db.InTx(ctx, f) })
	for c.waiting() == before {
		runtime.Gosched()
	}
}

func (c *crowd) waiting() int {
	c.db.group.mu.Lock()
	defer c.db.group.mu.Unlock()
	return len(c.db.group.waiting)
}

// end lets all of them have their turns.
func (c *crowd) end() []error {
	close(c.release)
	c.all.Wait()
	return c.errs
}

// insert is a transaction that adds a row.
func insert(i int) func(context.Context, *Tx) error {
	return func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO t VALUES ($1, '')`, i)
		return err
	}
}

func openTable(t *testing.T, dir string) *DB {
	t.Helper()
	db, err := Open(t.Context(), filepath.Join(dir, "group.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(t.Context(), `CREATE TABLE t (id BIGINT PRIMARY KEY, s TEXT)`); err != nil {
		t.Fatal(err)
	}
	return db
}

// ids are the rows of the table, as text.
func ids(t *testing.T, db *DB) string {
	t.Helper()
	var s string
	if err := db.QueryRow(t.Context(), `SELECT COALESCE(group_concat(id, ' '), '') FROM (SELECT id FROM t ORDER BY id)`).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGroup(t *testing.T) {
	t.Run("those that wait are made durable by one sync", func(t *testing.T) {
		dir := t.TempDir()
		disk, err := faultdb.Watch(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := newCrowd(t, openTable(t, dir), 20)
		before := disk.Syncs(disk.Now())
		for i := range 20 {
			c.add(t.Context(), i, insert(i))
		}
		for i, err := range c.end() {
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		if n := disk.Syncs(disk.Now()) - before; n != 1 {
			t.Errorf("%d syncs", n)
		}
		if n := len(strings.Fields(ids(t, c.db))); n != 20 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("nobody is told before it is durable, also who failed for one before", func(t *testing.T) {
		dir := t.TempDir()
		disk, err := faultdb.Watch(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := newCrowd(t, openTable(t, dir), 3)
		before := disk.Syncs(disk.Now())
		for i := range 3 {
			c.all.Go(func() {
				c.errs[i] = c.db.InTx(t.Context(), insert(1))
				if disk.Syncs(disk.Now()) == before {
					t.Error("it was told before the sync")
				}
			})
		}
		for c.waiting() < 3 {
			runtime.Gosched()
		}
		unique := 0
		for _, err := range c.end() {
			if IsUnique(err) {
				unique++
			} else if err != nil {
				t.Error(err)
			}
		}
		if unique != 2 || ids(t, c.db) != "1" {
			t.Errorf("%d found the row of the third, rows: %s", unique, ids(t, c.db))
		}
	})
	t.Run("who failed for one before is told of the commit that failed", func(t *testing.T) {
		db := openTable(t, t.TempDir())
		if _, err := db.Exec(t.Context(), `CREATE TABLE late (id BIGINT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)`); err != nil {
			t.Fatal(err)
		}
		c := &crowd{t: t, db: db, errs: make([]error, 2), release: make(chan struct{})}
		open := make(chan struct{})
		c.all.Go(func() {
			c.errs[0] = db.InTx(t.Context(), func(ctx context.Context, tx *Tx) error {
				close(open)
				<-c.release
				_, err := tx.Exec(ctx, `INSERT INTO late VALUES (7)`) // which nothing has, as the commit finds
				return errors.Join(err, insert(1)(ctx, tx))
			})
		})
		<-open
		c.add(t.Context(), 1, insert(1))
		for i, err := range c.end() {
			if err == nil || IsUnique(err) || ids(t, db) != "" {
				t.Errorf("%d is told %v, rows: %s", i, err, ids(t, db))
			}
		}
	})
	t.Run("one that fails is rolled back alone", func(t *testing.T) {
		want := errors.New("no")
		c := newCrowd(t, openTable(t, t.TempDir()), 4)
		c.add(t.Context(), 0, insert(0))
		c.add(t.Context(), 1, func(ctx context.Context, tx *Tx) error { return errors.Join(insert(1)(ctx, tx), want) })
		c.add(t.Context(), 2, func(ctx context.Context, tx *Tx) error {
			tx.AfterCommit(func() {
				if ids(t, c.db) != "0 2 3" {
					t.Error("the hook was called before the commit")
				}
			})
			return insert(2)(ctx, tx)
		})
		c.add(t.Context(), 3, insert(3))
		if errs := c.end(); !errors.Is(errs[1], want) || errors.Join(errs[0], errs[2], errs[3]) != nil || ids(t, c.db) != "0 2 3" {
			t.Errorf("%v, rows: %s", errs, ids(t, c.db))
		}
	})
	t.Run("one that panics is rolled back alone", func(t *testing.T) {
		c := newCrowd(t, openTable(t, t.TempDir()), 3)
		c.add(t.Context(), 0, insert(0))
		c.all.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost")
				}
			}()
			_ = c.db.InTx(t.Context(), func(ctx context.Context, tx *Tx) error {
				_ = insert(1)(ctx, tx)
				panic("bug")
			})
		})
		for c.waiting() < 2 {
			runtime.Gosched()
		}
		c.add(t.Context(), 2, insert(2))
		if errs := c.end(); errors.Join(errs...) != nil || ids(t, c.db) != "0 2" {
			t.Errorf("%v, rows: %s", errs, ids(t, c.db))
		}
	})
	t.Run("who gives up waiting leaves nothing", func(t *testing.T) {
		c := newCrowd(t, openTable(t, t.TempDir()), 4)
		early, stopEarly := context.WithCancel(t.Context())
		late, stopLate := context.WithCancel(t.Context())
		c.add(t.Context(), 0, insert(0))
		c.add(early, 1, insert(1))
		c.add(late, 2, func(ctx context.Context, tx *Tx) error {
			defer stopLate() // when it has had its turn already
			return insert(2)(ctx, tx)
		})
		c.add(t.Context(), 3, insert(3))
		stopEarly()
		for c.waiting() == 4 {
			runtime.Gosched()
		}
		errs := c.end()
		if !errors.Is(errs[1], context.Canceled) || !errors.Is(errs[2], context.Canceled) || errors.Join(errs[0], errs[3]) != nil || ids(t, c.db) != "0 3" {
			t.Errorf("%v, rows: %s", errs, ids(t, c.db))
		}
	})
	t.Run("one that costs all their transaction fails alone, and the others run again", func(t *testing.T) {
		c := newCrowd(t, openTable(t, t.TempDir()), 4)
		var runs [4]int
		for i := range c.errs {
			c.add(t.Context(), i, func(ctx context.Context, tx *Tx) error {
				runs[i]++
				if err := insert(i)(ctx, tx); err != nil || i != 2 {
					return err
				}
				// As a disk that can't be read does: savepoints and all.
				_, err := tx.Exec(ctx, `INSERT OR ROLLBACK INTO t VALUES (0, '')`)
				return err
			})
		}
		errs := c.end()
		if !IsUnique(errs[2]) || errors.Join(errs[0], errs[1], errs[3]) != nil || ids(t, c.db) != "0 1 3" {
			t.Errorf("%v, rows: %s", errs, ids(t, c.db))
		}
		if fmt.Sprint(runs) != "[2 2 1 1]" {
			t.Errorf("they ran %v times", runs)
		}
	})
	t.Run("a full disk is told to who filled it", func(t *testing.T) {
		c := newCrowd(t, openTable(t, t.TempDir()), 3)
		c.add(t.Context(), 0, insert(0))
		c.add(t.Context(), 1, func(ctx context.Context, tx *Tx) error {
			if _, err := tx.Exec(ctx, `PRAGMA max_page_count = 8`); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO t VALUES (1, $1)`, strings.Repeat("x", 1<<20))
			return err
		})
		c.add(t.Context(), 2, insert(2))
		errs := c.end()
		if towpath.KindOf(errs[1]) != towpath.KindUnavailable || !strings.Contains(errs[1].Error(), "full") ||
			errors.Join(errs[0], errs[2]) != nil || ids(t, c.db) != "0 2" {
			t.Errorf("%v, rows: %s", errs, ids(t, c.db))
		}
	})
}

// TestGroup_PowerCut has many write at once, some of them in vain, on a disk that
// forgets what was not synced, and cuts the power at each of its moments: what
// anybody was told is still true.
func TestGroup_PowerCut(t *testing.T) {
	dir := t.TempDir()
	disk, err := faultdb.Watch(dir)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 10
	db := openTable(t, dir)
	created := disk.Now()
	var told [writers * each]int // when
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				id := w*each + i
				err := db.InTx(t.Context(), func(ctx context.Context, tx *Tx) error {
					if _, err := tx.Exec(ctx, `INSERT INTO t VALUES ($1, $2)`, id, strings.Repeat("x", 3000)); err != nil || i%5 != 4 {
						return err
					}
					return errors.New("in vain")
				})
				if told[id] = disk.Now(); (err == nil) != (i%5 != 4) {
					t.Errorf("%d: %v", id, err)
				}
			}
		})
	}
	all.Wait()
	for n := created; n <= disk.Now(); n += 3 {
		var surprise *rand.Rand
		if n%2 == 1 {
			surprise = rand.New(rand.NewPCG(uint64(n), 28))
		}
		left := t.TempDir()
		if err := disk.Cut(left, n, surprise); err != nil {
			t.Fatal(err)
		}
		there := rowsOf(t, filepath.Join(left, "group.db"))
		for id, at := range told {
			vain := id%each%5 == 4
			if at <= n && there[id] == vain || vain && there[id] {
				t.Errorf("after %d actions row %d, of which was told at %d, is there: %v", n, id, at, there[id])
			}
		}
	}
}

// rowsOf are the IDs in the table of a database that nobody has open.
func rowsOf(t *testing.T, path string) map[int]bool {
	t.Helper()
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	there := map[int]bool{}
	for _, id := range strings.Fields(ids(t, db)) {
		n, err := strconv.Atoi(id)
		if err != nil {
			t.Fatal(err)
		}
		there[n] = true
	}
	return there
}

// TestPrepared has more statements than a connection keeps, one of them while
// its rows are read.
func TestPrepared(t *testing.T) {
	db := openTable(t, t.TempDir())
	err := db.InTx(t.Context(), func(ctx context.Context, tx *Tx) error {
		for i := range 3 {
			if err := insert(i)(ctx, tx); err != nil {
				return err
			}
		}
		const query = `SELECT id FROM t ORDER BY id`
		rows, err := tx.Query(ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		seen := 0
		for rows.Next() {
			var first int
			if err := tx.QueryRow(ctx, query).Scan(&first); err != nil || first != 0 {
				t.Errorf("the first is %d, %v", first, err)
			}
			for i := range statements {
				var n int
				if err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT %d`, i)).Scan(&n); err != nil || n != i {
					t.Fatalf("%d is %d, %v", i, n, err)
				}
			}
			seen++
		}
		if seen != 3 {
			t.Errorf("%d rows", seen)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}
