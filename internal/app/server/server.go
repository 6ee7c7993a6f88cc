package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/account"
	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/audit"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/http/ocidist"
	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/ledger"
	places "github.com/towpath/towpath/internal/place"
	"github.com/towpath/towpath/internal/project"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/promql/query"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/store/migrations"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

// Config says what the server stands on.
type Config struct {
	Data     string // folder of keys and, by default, blobs and the database
	Database string // URL; empty: a SQLite file in Data
	Blobs    string // s3:// URL, see [blob.ParseS3URL]; empty: a folder in Data
	Listen   string // address; one that others can reach needs Cert and Key
	Cert     string // PEM files
	Key      string
	Version  string
	// RegistryAuth is the file with the logins of registries that releases are
	// copied to, as docker keeps them; empty: registry-auth.json in Data.
	RegistryAuth string
	// AttestationKey is the program that holds the key which signs how promotions
	// ended, see [signing.OpenExec]; empty: a file in Data.
	AttestationKey string
	// MetricsURL is a Prometheus-compatible source that objectives are asked of,
	// MetricsToken a file with its bearer token. MetricsSources is a file with
	// sources of single projects and places, which come first.
	MetricsURL     string
	MetricsToken   string
	MetricsSources string
	// MetricsRetention is how long samples are kept that agents push, when there
	// is no MetricsURL; 0: a default.
	MetricsRetention time.Duration
	// Restored says where the database was restored from, at the first start
	// after that; see [ledger.Ledger.BumpEpoch].
	Restored string
	// PublicMetrics serves /metrics without a token.
	PublicMetrics bool
	Log           *slog.Logger
	Now           func() time.Time
}

// Server is the control plane.
type Server struct {
	cfg      Config
	db       *sqldb.DB
	store    *store.Store
	ledger   *ledger.Ledger
	accounts *account.Service
	projects *project.Service
	services rest.Services
	agents   *agents
	handler  http.Handler
	listener net.Listener
	tasks    []reconcile.Task
	schema   *sqldb.Schema    // which other servers may make newer; nil: there are none
	lock     *os.File         // of an SQLite database
	metrics  *promql.Embedded // nil: queries are asked elsewhere

	samples     deploy.Samples   // into metrics
	sharing     []reconcile.Task // of what is pushed, with other servers
	metricsLock *os.File         // of the engine's folder, where servers may share the data folder
}

// lease is how long others wait for a server that died: what it worked on is
// taken up by another one then. A server that starts on an SQLite file waits
// for nobody.
const lease = 5 * time.Second

// carriers is how many copies to and from other registries are at work at once.
const carriers = 4

// New opens the database, brings its schema up to date and puts the server
// together. It starts nothing but the listener.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "server.start", "the data folder can't be made").On(cfg.Data).WithCause(err)
	}
	listener, err := listen(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, listener: listener}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open builds everything behind the listener.
func (s *Server) open(ctx context.Context) error {
	cfg := s.cfg
	if err := s.openDatabase(ctx); err != nil {
		return err
	}
	at, err := s.openPlace(ctx)
	if err != nil {
		return err
	}
	key, err := ledger.LoadOrCreateKey(filepath.Join(cfg.Data, "ledger.key"), "towpath")
	if err != nil {
		return err
	}
	attesting, err := s.attestationKey(ctx, at) // before it is founded: a server that dies here can begin again
	if err != nil {
		return err
	}
	if err := s.join(ctx, key.Public(), at); err != nil {
		return err
	}
	owner := string(towpath.NewID[towpath.EventID]("srv", cfg.Now()))
	kept := filepath.Join(cfg.Data, "ledger.checkpoint")
	if s.ledger, err = ledger.New(ledger.Config{Key: key, Owner: owner, Kept: kept, Lease: lease, Now: cfg.Now, Log: cfg.Log}, s.db); err != nil {
		return err
	}
	epoch, err := s.epoch(ctx)
	if err != nil {
		return err
	}
	noteSigner, err := note.NewSigner(key.Secret())
	if err != nil {
		return towpath.E(towpath.KindInternal, "server.start", "the ledger's key can't sign").WithCause(err)
	}
	changed, called := newBroadcast(), newCalls()
	wake := func(string) {}
	nouns := store.New(s.db, s.ledger, func(kind string) { wake(kind); changed.Tell() })
	s.store = nouns
	if err := s.noteKey(ctx, attesting); err != nil {
		return err
	}
	blobs, err := s.elsewhere(at)
	if err != nil {
		return err
	}
	repos := &repositories{store: nouns, open: map[string]*git.Repository{}}
	sign := signer{noteSigner}

	s.accounts = account.New(account.Config{Now: cfg.Now}, store.For[account.Tx](nouns))
	s.projects = project.New(project.Config{Now: cfg.Now, CheckRepository: func(ctx context.Context, path string) error {
		_, err := git.Open(ctx, path)
		return err
	}}, store.For[project.Tx](nouns))
	var keys *trust.Service // which quarantines releases, and so is made after them
	releases := release.New(release.Config{Now: cfg.Now, Revoked: func(ctx context.Context, p towpath.ProjectName, d towpath.Digest, lifted []string) (*towpath.Quarantine, error) {
		return keys.Blame(ctx, p, d, lifted)
	}}, store.For[release.Tx](nouns), blobs, repos, latch{sqldb.NewLatch(s.db, "retention")})
	keeper := places.NewKeeper(blobs, inUse{releases}, releases)
	server, err := own(attesting)
	if err != nil {
		return err
	}
	keys = trust.New(trust.Config{Now: cfg.Now, Own: server}, store.For[trust.Tx](nouns), blobs, releases)
	copies, err := s.replication(blobs, keeper, keys)
	if err != nil {
		return err
	}
	artifacts := s.registry(releases, at, blobs, copies)
	mirrors, err := s.mirror(artifacts, blobs)
	if err != nil {
		return err
	}
	promotions := promote.New(promote.Config{Now: cfg.Now, Log: cfg.Log, Claimable: called.Call, Changed: changed.Next, QueryProblem: query.Problem},
		store.For[promote.Tx](nouns), releases, keys, sign, &attestor{attesting, blobs, releases, cfg.Now}, repos)
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metricSources, err := s.metricSources()
	if err != nil {
		return err
	}
	deployment := deploy.Config{Now: cfg.Now, Log: cfg.Log, Epoch: epoch.Number, Claimable: called.Call, Recovered: recoveries(metrics), Samples: s.samples}
	deploys := deploy.New(deployment,
		store.For[deploy.Tx](nouns), releases, sign, metricSources)
	metrics.MustRegister(newAsking(deploys.Asking, cfg.Log))

	work := func(workers int, reconcilers ...reconcile.Reconciler) (*reconcile.Runner, error) {
		return reconcile.New(reconcile.Config{Workers: workers, Lease: lease, Now: cfg.Now, Log: cfg.Log}, sqldb.NewQueue(s.db, owner),
			func(w sqldb.Work) reconcile.Claim {
				return reconcile.Claim{Kind: w.Kind, Key: w.Key, Fence: w.Fence, Attempts: w.Attempts}
			}, reconcilers...)
	}
	runner, err := work(0, deploys, deploy.Repairs{Service: deploys}, deploy.Measurements{Service: deploys},
		promote.Promotions{Service: promotions}, promote.Environments{Service: promotions}, promote.Refs{Service: promotions}, promote.Attestations{Service: promotions},
		trust.Revocations{Service: keys}, trust.Signers{Service: keys}, trust.Findings{Service: keys},
		release.Materials{Service: releases}, release.Examinations{Service: releases})
	if err != nil {
		return err
	}
	// What talks to registries outside has workers of its own: eight slow ones
	// must not keep a deployment from going back.
	carrier, err := work(carriers, copies, mirrors)
	if err != nil {
		return err
	}
	wake = func(string) { runner.Wake(); carrier.Wake() }

	alive := sqldb.NewPresence(s.db, owner, lease)
	if err := alive.Show(ctx, cfg.Now()); err != nil { // before the first request is taken
		return err
	}
	presence := reconcile.NewLoop(reconcile.LoopConfig{Name: "presence", Interval: lease / 3, Now: cfg.Now, Log: cfg.Log},
		func(ctx context.Context, now time.Time) (bool, error) { return false, alive.Show(ctx, now) })

	s.agents = &agents{deploys: deploys, blobs: blobs, key: s.ledger.PublicKey(), calls: called, samples: s.metrics != nil}
	protocol := agentrpc.NewHandler(s.agents,
		func(r *http.Request) (towpath.Actor, error) { return rest.Actor(r.Context()), nil }, cfg.Log)
	s.services = rest.Services{
		Projects: s.projects, Releases: releases, Promotions: promotions, Deploys: deploys,
		Inventory: inventory.New(inventory.Config{Now: cfg.Now}, store.For[inventory.Tx](nouns), releases, keys),
		Accounts:  s.accounts, Audit: audit.New(s.ledger), Registry: artifacts, Replication: copies, Mirror: mirrors, Trust: keys,
	}
	writes := sqldb.NewWriteCheck(s.db)
	api, err := rest.New(rest.Config{Version: cfg.Version, Now: cfg.Now, Log: cfg.Log, PublicMetrics: cfg.PublicMetrics}, rest.Deps{
		Services:    s.services,
		Idempotency: answers{store.NewIdempotency(nouns, owner, cfg.Now)}, Metrics: metrics, Changed: s.ledger.Changed,
		Checks: []rest.Check{
			{Name: "database", Critical: true, Run: s.db.Ping},
			{Name: "writes", Run: func(ctx context.Context) error { return writes.Run(ctx, cfg.Now()) }},
			{Name: "blobs", Run: at.check},
			{Name: "ledger", Run: s.checkLedger},
		},
		Mounts: []rest.Mount{
			{Pattern: "/agent/v1/", Policy: rest.Authenticated, Handler: protocol},
			// Public: clients of registries log in in a way of their own, which
			// the handler demands of every request.
			{Pattern: "/v2/", Policy: rest.Public, Handler: ocidist.New(ocidist.Config{
				Now: cfg.Now, Log: cfg.Log, Installation: s.installation(), RequestID: func(ctx context.Context) string { return rest.Actor(ctx).RequestID },
			}, artifacts, s.accounts)},
		},
	})
	if err != nil {
		return err
	}
	s.handler = api
	s.tasks = append(s.sharing,
		reconcile.Task{Name: "sequencer", Run: s.ledger.Sequencer().Run},
		reconcile.Task{Name: "presence", Run: presence.Run},
		reconcile.Task{Name: "loops", Run: runner.Run},
		reconcile.Task{Name: "copies", Run: carrier.Run},
		reconcile.Task{Name: "retention", Run: reconcile.NewLoop(
			reconcile.LoopConfig{Name: "retention", Interval: time.Hour, Now: cfg.Now, Log: cfg.Log},
			func(ctx context.Context, _ time.Time) (bool, error) { return false, releases.CollectAll(ctx) }).Run},
		reconcile.Task{Name: "registry", Run: reconcile.NewLoop(
			reconcile.LoopConfig{Name: "registry", Interval: 10 * time.Minute, Now: cfg.Now, Log: cfg.Log},
			func(ctx context.Context, _ time.Time) (bool, error) { return tidy(ctx, releases, artifacts) }).Run},
		reconcile.Task{Name: "garbage", Run: reconcile.NewLoop(
			reconcile.LoopConfig{Name: "garbage", Interval: 24 * time.Hour, Now: cfg.Now, Log: cfg.Log},
			func(ctx context.Context, _ time.Time) (bool, error) {
				_, err := artifacts.CollectGarbage(ctx, towpath.System(), registry.Garbage{})
				return false, err
			}).Run},
		reconcile.Task{Name: "places", Run: reconcile.NewLoop(
			reconcile.LoopConfig{Name: "places", Interval: 10 * time.Minute, Now: cfg.Now, Log: cfg.Log},
			func(ctx context.Context, _ time.Time) (bool, error) { _, err := keeper.LetGo(ctx); return false, err }).Run},
		reconcile.Task{Name: "http", Run: s.serve},
	)
	return nil
}

// openDatabase opens the database and brings its schema up to date. An SQLite
// file has one server at a time, so whatever is claimed in it was claimed by
// one that is dead.
func (s *Server) openDatabase(ctx context.Context) (err error) {
	url := s.cfg.Database
	if url == "" {
		url = filepath.Join(s.cfg.Data, "towpath.db")
	}
	if s.db, err = sqldb.Open(ctx, url); err != nil {
		return err
	}
	alone := s.db.File() != ""
	if alone {
		if s.lock, err = lockFile(s.db.File()); err != nil {
			return err
		}
	}
	if !alone {
		if s.schema, err = sqldb.NewSchema(s.db, migrations.FS); err != nil {
			return err
		}
		if err := s.awaitOlder(ctx); err != nil {
			return err
		}
	}
	if err := sqldb.Migrate(ctx, s.db, migrations.FS); err != nil || !alone {
		return err
	}
	return sqldb.ForgetHolders(ctx, s.db)
}
