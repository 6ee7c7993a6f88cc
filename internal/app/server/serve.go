package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// listen opens the listener. An address that others can reach needs TLS.
func listen(cfg Config) (net.Listener, error) {
	const op = "server.listen"
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "%q is no address to listen on", cfg.Listen).
			WithHint("host:port, for example 127.0.0.1:7420").WithCause(err)
	}
	if !loopback.Host(host) && cfg.Cert == "" {
		return nil, towpath.E(towpath.KindInvalid, op, "%s can be reached from outside, and there is no TLS certificate", cfg.Listen).
			WithHint("give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that has TLS")
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, op, "the server can't listen on %s", cfg.Listen).
			WithHint("is another one running? --listen takes another address").WithCause(err)
	}
	if cfg.Cert == "" {
		return l, nil
	}
	pair, err := newCertificate(cfg.Cert, cfg.Key, cfg.Log)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return tls.NewListener(l, &tls.Config{GetCertificate: pair.show, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}), nil
}

// URL is where the server answers.
func (s *Server) URL() string {
	scheme := "http"
	if s.cfg.Cert != "" {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String()
}

// PublicKey is the key that the ledger and authorisations are verified with.
func (s *Server) PublicKey() string { return s.ledger.PublicKey() }

// Handler is everything that the listener serves.
func (s *Server) Handler() http.Handler { return s.handler }

// Run serves until ctx is done, or fails once a newer server has upgraded the
// database.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close() //nolint:errcheck // nothing is left to tell
	tasks := s.tasks
	var overtaken error
	if s.schema != nil {
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		defer end()
		tasks = append(tasks, reconcile.Task{Name: "schema", Run: s.watchSchema(func(err error) { overtaken = err; end() })})
	}
	if err := reconcile.NewSupervisor(reconcile.SupervisorConfig{Log: s.cfg.Log}, tasks...).Run(ctx); err != nil {
		return err
	}
	return overtaken
}

func (s *Server) serve(ctx context.Context) error {
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(drain) != nil {
			_ = srv.Close()
		}
	})
	defer stop()
	if err := srv.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close closes the listener and the database.
func (s *Server) Close() error {
	err := s.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	if s.metrics != nil {
		err = errors.Join(err, s.metrics.Close())
		s.metrics = nil
	}
	if s.metricsLock != nil {
		err = errors.Join(err, s.metricsLock.Close())
		s.metricsLock = nil
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}
