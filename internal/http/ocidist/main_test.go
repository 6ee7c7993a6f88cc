package ocidist_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/app/server"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

const shop = towpath.ProjectName("shop")

// running is a real server with a project and people.
type running struct {
	t    testing.TB
	s    *server.Server
	data string
	stop func()
}

// start runs a server over a data folder and a database; empty is SQLite in
// the folder.
func start(t testing.TB, data, database string, now func() time.Time) *running {
	t.Helper()
	return startOver(t, data, database, "", now)
}

// startOver is start with blobs in an object store.
func startOver(t testing.TB, data, database, blobs string, now func() time.Time) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Config{
		Data: data, Database: database, Blobs: blobs, Listen: "127.0.0.1:0", Version: "test", Now: now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	r := &running{t: t, s: s, data: data, stop: func() { cancel(); <-done }}
	t.Cleanup(r.stop)
	for _, p := range []towpath.ProjectName{shop, "other"} {
		if err := s.Register(ctx, p, ""); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// target is the registry as an account with roles sees it.
func (r *running) target(name towpath.AccountName, roles ...towpath.Role) ocitest.Target {
	r.t.Helper()
	token, err := r.s.Account(context.Background(), name, nil, roles, time.Hour)
	if err != nil {
		r.t.Fatal(err)
	}
	return ocitest.Target{URL: r.s.URL(), User: "anything", Secret: token.Secret, Repository: "shop/tested", Other: "other/tested"}
}

// each runs a test against a server on each database.
func each(t *testing.T, f func(t *testing.T, r *running)) {
	t.Run("on SQLite", func(t *testing.T) { f(t, start(t, t.TempDir(), "", nil)) })
	t.Run("on PostgreSQL", func(t *testing.T) { f(t, start(t, t.TempDir(), pgtest.New(t), nil)) })
}

func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, r *running) {
		ocitest.Run(t, r.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
	})
}
