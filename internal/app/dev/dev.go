package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	agentapp "github.com/towpath/towpath/internal/app/agent"
	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/app/server"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

const (
	// place is where the agent of this process runs things.
	place = towpath.PlaceName("local")
	// tokenLife is how long the tokens live that dev makes for itself and for
	// who started it.
	tokenLife = 365 * 24 * time.Hour
)

// Options say what to run.
type Options struct {
	Root    string // of the project's repository
	Data    string // folder of everything that is kept
	Listen  string // loopback address
	Version string
	Watch   bool // build and publish new commits of the environments' branches
	Owner   towpath.AccountName
	Emails  []string // commit identities of the owner
	Log     *slog.Logger
	Say     func(line string) // what the watcher did, for people; may be nil
}

// Dev is all roles in one process.
type Dev struct {
	Server  *server.Server
	Client  *client.Client // as the owner
	Token   string         // the owner's
	Project towpath.ProjectName

	opts  Options
	tasks []reconcile.Task
}

// Run is `towpath dev`: it puts everything together for the project in a
// folder, says where it answers, and works until ctx is done. What runs then
// goes on running.
func Run(ctx context.Context, t cli.Terminal, o cli.DevOptions, version string) error {
	repo, err := git.Open(ctx, o.Dir)
	if err != nil {
		return err
	}
	root := repo.WorkTree()
	if root == "" {
		return towpath.E(towpath.KindInvalid, "dev.start", "a bare repository has no towpath.yaml to work with").On(repo.Dir()).
			WithHint("run it in a clone; `towpath server` works with bare repositories")
	}
	data := o.Data
	if data == "" {
		data = filepath.Join(root, ".towpath")
	}
	if o.Stop {
		if err := agentapp.Stop(ctx, agentapp.Config{Data: filepath.Join(data, "agent"), Log: slog.New(slog.DiscardHandler)}); err != nil {
			return err
		}
		fmt.Fprintln(t.Stderr, "nothing of this project runs any more; the next `towpath dev` starts it again")
		return nil
	}
	name, emails := identity(ctx, root)
	logs, log, err := openLog(data)
	if err != nil {
		return err
	}
	defer logs.Close()
	d, err := New(ctx, Options{
		Root: root, Data: data, Listen: o.Listen, Version: version, Watch: true, Owner: name, Emails: emails, Log: log,
		Say: func(line string) { fmt.Fprintf(t.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), cli.Clean(line)) },
	})
	if err != nil {
		return err
	}
	file := cli.ClientFile{URL: d.Server.URL(), Token: d.Token, Project: d.Project}
	if err := file.Save(root); err != nil {
		return errors.Join(err, d.Server.Close())
	}
	fmt.Fprintf(t.Stdout, "url      %s\ntoken    %s\naccount  %s\nproject  %s\nlog      %s\n",
		d.Server.URL(), filepath.Join(root, ".towpath", "client.json"), name, d.Project, logs.Name())
	fmt.Fprintln(t.Stderr, "\nready: commands in this folder find the server by themselves; try `towpath status`. Ctrl-C ends it; what it runs goes on, until `towpath dev --stop`.")
	return d.Run(ctx)
}

// New puts all roles together for the project of a repository.
func New(ctx context.Context, o Options) (*Dev, error) {
	spec, err := readSpec(o.Root)
	if err != nil {
		return nil, err
	}
	if err := builder.Ignore("dev.start", o.Data); err != nil {
		return nil, err
	}
	if host, _, err := net.SplitHostPort(o.Listen); err != nil || !loopback.Host(host) {
		return nil, towpath.E(towpath.KindInvalid, "dev.start", "%q is no loopback address", o.Listen).
			WithHint("dev is for one machine; `towpath server` serves others")
	}
	s, err := server.New(ctx, server.Config{Data: filepath.Join(o.Data, "server"), Listen: o.Listen, Version: o.Version, Log: o.Log})
	if err != nil {
		return nil, err
	}
	d := &Dev{Server: s, Project: spec.Project, opts: o}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return d, nil
}

// readSpec reads the project file in a folder.
func readSpec(root string) (*towpath.ProjectSpec, error) {
	src, err := os.ReadFile(filepath.Join(root, "towpath.yaml"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, towpath.E(towpath.KindNotFound, "dev.start", "this repository has no towpath.yaml").On(root).
			WithHint("run `towpath init` first, then commit the file")
	}
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "dev.start", "towpath.yaml can't be read").WithCause(err)
	}
	return builder.Parse(src)
}

// prepare makes accounts, tokens and the project known, and the tasks of Run.
func (d *Dev) prepare(ctx context.Context) error {
	s, o := d.Server, d.opts
	if err := s.Register(ctx, d.Project, o.Root); err != nil {
		return err
	}
	if have, err := savedToken(o.Root); err == nil && s.ValidToken(ctx, have) {
		d.Token = have
	} else {
		roles := []towpath.Role{
			towpath.RoleAdmin, towpath.RoleViewer, towpath.RoleReleaser, towpath.RolePromoter, towpath.RoleApprover, towpath.RoleOperator,
		}
		token, err := s.Account(ctx, o.Owner, o.Emails, roles, tokenLife)
		if err != nil {
			return err
		}
		d.Token = token.Secret
	}
	var err error
	if d.Client, err = client.New(client.Config{URL: s.URL(), Token: client.Token(d.Token), UserAgent: "towpath-dev"}); err != nil {
		return err
	}
	token, err := s.AgentToken(ctx, place, tokenLife)
	if err != nil {
		return err
	}
	listener, hc := agentrpc.Pipe()
	a, err := agentapp.New(agentapp.Config{
		Data: filepath.Join(o.Data, "agent"), Place: place, TrustedKey: s.PublicKey(), Log: o.Log,
	}, agentrpc.NewClient("http://towpath", token.Secret, hc))
	if err != nil {
		return err
	}
	d.tasks = []reconcile.Task{
		{Name: "server", Run: s.Run},
		{Name: "agents' listener", Run: func(ctx context.Context) error { return servePipe(ctx, listener, s.Handler()) }},
		{Name: "agent", Run: a.Run},
	}
	if o.Watch {
		d.tasks = append(d.tasks, reconcile.Task{Name: "builder", Run: d.watcher().Run})
	}
	return nil
}

// Run works until ctx is done.
func (d *Dev) Run(ctx context.Context) error {
	return reconcile.NewSupervisor(reconcile.SupervisorConfig{Log: d.opts.Log}, d.tasks...).Run(ctx)
}

// servePipe serves the agent of this process.
func servePipe(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
		return err
	}
	return nil
}

// savedToken is the token that dev left for the commands in a project.
func savedToken(root string) (string, error) {
	var f cli.ClientFile
	b, err := os.ReadFile(filepath.Join(root, ".towpath", "client.json"))
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	return f.Token, err
}

// identity is who starts dev: by git's own configuration for the folder.
func identity(ctx context.Context, root string) (towpath.AccountName, []string) {
	ask := func(key string) string {
		cmd := exec.CommandContext(ctx, "git", "config", "--get", key)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	name := towpath.AccountName("owner")
	if first, _, _ := strings.Cut(strings.ToLower(ask("user.name")), " "); namePattern.MatchString(first) && first != string(towpath.System().Account) {
		name = towpath.AccountName(first)
	}
	if email := ask("user.email"); email != "" {
		return name, []string{email}
	}
	return name, nil
}

// openLog opens dev's log file.
func openLog(data string) (*os.File, *slog.Logger, error) {
	if err := builder.Ignore("dev.start", data); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(filepath.Join(data, "towpath.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, towpath.E(towpath.KindUnavailable, "dev.start", "the log can't be written").WithCause(err)
	}
	return f, slog.New(slog.NewTextHandler(f, nil)), nil
}
