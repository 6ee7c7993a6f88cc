// Package app gives the command line what runs in its own process: the roles,
// the demo, the builder. It wires and decides nothing; each role has a package
// of its own below.
package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/agentrpc"
	agentapp "github.com/towpath/towpath/internal/app/agent"
	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/app/demo"
	"github.com/towpath/towpath/internal/app/dev"
	"github.com/towpath/towpath/internal/app/server"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/kind/process/run"
	"github.com/towpath/towpath/internal/projectfile"
	"github.com/towpath/towpath/internal/router"
	"github.com/towpath/towpath/internal/towpath"
)

// Apps are all roles of this binary.
func Apps(version string, now func() time.Time) cli.Apps {
	return cli.Apps{
		Version: version, Now: now,
		Init:  builder.Init,
		Build: builder.Build,
		Lock: func(ctx context.Context, r cli.LockRequest) (cli.Locked, error) {
			return builder.Lock(ctx, r, os.Getenv, now())
		},
		Dev: func(ctx context.Context, t cli.Terminal, o cli.DevOptions) error {
			return dev.Run(ctx, t, o, version)
		},
		Demo: func(ctx context.Context, t cli.Terminal, o cli.DemoOptions) error {
			return demo.Run(ctx, t, o, version)
		},
		Server: func(ctx context.Context, t cli.Terminal, o cli.ServerOptions) error {
			return serve(ctx, t, o, version)
		},
		Agent: work,
		Shim:  func(_ context.Context, dir string) error { return run.ShimMain(dir) },
		Router: func(ctx context.Context, dir string, replace bool) error {
			return router.Main(ctx, router.Config{Dir: dir, Replace: replace, Now: now})
		},
		Check: func(src []byte) error {
			_, err := builder.Parse(src)
			return err
		},
		Schema: func() []byte { return projectfile.Schema(builder.Kinds()) },
	}
}

// serve is `towpath server`. The first start makes an account that may do
// everything and prints its token, once; whoever owns the data folder can have
// another one printed.
func serve(ctx context.Context, t cli.Terminal, o cli.ServerOptions, version string) error {
	log := slog.New(slog.NewTextHandler(t.Stderr, nil))
	s, err := server.New(ctx, server.Config{
		Data: o.Data, Database: o.Database, Blobs: o.Blobs, Listen: o.Listen, Cert: o.TLSCert, Key: o.TLSKey, Version: version,
		PublicMetrics: o.PublicMetrics, RegistryAuth: o.RegistryAuth, AttestationKey: o.AttestationKey, Restored: o.Restored, Log: log,
		MetricsURL: o.MetricsURL, MetricsToken: o.MetricsToken, MetricsSources: o.MetricsSources, MetricsRetention: o.MetricsRetention,
	})
	if err != nil {
		return err
	}
	first, err := s.Empty(ctx)
	if err == nil && (first || o.AdminToken) {
		token, tokenErr := s.Account(ctx, "admin", nil, []towpath.Role{towpath.RoleAdmin, towpath.RoleViewer}, 24*time.Hour)
		if err = tokenErr; err == nil {
			made := "A token of the account admin"
			if first {
				made = "The first start made the account admin. Its token"
			}
			fmt.Fprintf(t.Stdout, "%s, shown once and valid for a day:\n\n  %s\n\n", made, token.Secret)
		}
	}
	if err != nil {
		_ = s.Close()
		return err
	}
	log.Info("listening", "url", s.URL(), "ledger key", s.PublicKey())
	return s.Run(ctx)
}

// work is `towpath agent`.
func work(ctx context.Context, t cli.Terminal, o cli.AgentOptions) error {
	const op = "agent.start"
	read := func(path string) (string, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", towpath.E(towpath.KindInvalid, op, "%s can't be read", path).WithCause(err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	var err error
	if o.TokenFile != "" {
		if o.Token, err = read(o.TokenFile); err != nil {
			return err
		}
	}
	trust := ""
	if o.Trust != "" {
		if trust, err = read(o.Trust); err != nil {
			return err
		}
	}
	if strings.ContainsAny(o.Token, " \t\r\n\"{}") || o.Token != "" && !strings.HasPrefix(o.Token, access.TokenPrefix) {
		return towpath.E(towpath.KindInvalid, op, "what was given as the agent's token is none").
			WithHint("a token begins with %s; the file holds it and nothing else", access.TokenPrefix)
	}
	if o.Server == "" || o.Token == "" {
		return towpath.E(towpath.KindInvalid, op, "the agent needs its server's URL and a token").
			WithHint("make an account with `towpath account create`, then `towpath account grant NAME agent --place PLACE` and `towpath token create agent --account NAME`")
	}
	if _, err := client.ServerURL(o.Server, true); err != nil {
		return err
	}
	var keys []string
	for _, file := range o.ReleaseKeys {
		key, err := read(file)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	log := slog.New(slog.NewTextHandler(t.Stderr, nil))
	a, err := agentapp.New(agentapp.Config{Data: o.Data, Place: o.Place, TrustedKey: trust, ReleaseKeys: keys, Log: log},
		agentrpc.NewClient(o.Server, o.Token, &http.Client{CheckRedirect: client.NoRedirects}))
	if err != nil {
		return err
	}
	return a.Run(ctx)
}
