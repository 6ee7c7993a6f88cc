package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// shared is the server of this test process: the tests of a package share it,
// as starting one takes most of a second.
var shared struct {
	once   sync.Once
	server *server
	err    error

	mu        sync.Mutex
	templates map[string]template // by key
}

// template is a filled database, or why there is none.
type template struct {
	name string
	err  error
}

// New makes an empty database for the test, drops it at its end, and returns
// its URL. Without PostgreSQL on the machine the test fails.
func New(t testing.TB) string {
	t.Helper()
	return create(t, start(t), "template1")
}

// NewFrom is [New] with a database that fill has filled; fill runs once per
// key, and the databases are copies of what it made.
func NewFrom(t testing.TB, key string, fill func(url string) error) string {
	t.Helper()
	s := start(t)
	template, err := s.template(key, fill)
	if err != nil {
		t.Fatalf("make the template database %q: %v", key, err)
	}
	return create(t, s, template)
}

func start(t testing.TB) *server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = startServer() })
	if shared.err != nil {
		t.Fatalf("this test needs a real PostgreSQL: %v", shared.err)
	}
	return shared.server
}

func create(t testing.TB, s *server, template string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text()[:16])
	if err := s.exec(fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, template)); err != nil {
		t.Fatalf("create a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := s.exec(fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name)); err != nil {
			t.Errorf("drop the database of the test: %v", err)
		}
	})
	return s.url(name)
}

func (s *server) template(key string, fill func(url string) error) (string, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	made, ok := shared.templates[key]
	if !ok {
		made.name = fmt.Sprintf("template_%d", len(shared.templates))
		if made.err = s.exec("CREATE DATABASE " + made.name); made.err == nil {
			made.err = fill(s.url(made.name))
		}
		if shared.templates == nil {
			shared.templates = map[string]template{}
		}
		shared.templates[key] = made
	}
	return made.name, made.err
}

// exec runs a statement that no transaction may enclose, on a connection of
// its own.
func (s *server) exec(statement string) error {
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(context.Background(), statement)
	return err
}
