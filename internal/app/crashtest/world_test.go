package crashtest_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

const (
	shop = towpath.ProjectName("shop")
	// patience is when a wait is taken for one without an end. How long what the
	// server was doing takes once it is back is measured by BenchmarkServer_Resumes.
	patience = 3 * time.Minute
)

// world is a server and an agent, each a process of its own, people who use
// them, and a repository.
type world struct {
	t        testing.TB
	dir      string
	front    *front
	log      *log
	database string        // URL; empty: SQLite
	kills    atomic.Int64  // of the server
	deaths   atomic.Int64  // of the agent, at a step
	killed   atomic.Int64  // when, until a step has ended since; Unix µs
	took     time.Duration // the longest step that the server was killed in
	mu       sync.Mutex
	server   *program
	ana, ben *client.Client
	repo     *gittest.Repo
	starts   string
	commits  map[string]towpath.CommitID
	canary   *towpath.Canary     // how what is published next replaces what runs; nil: at once
	mode     string              // of the program that is published next
	drift    towpath.DriftPolicy // of the component in releases; empty is report
	agent    *program
	machine  []string // the agent's environment
}

// newWorld starts everything and carries version 1.0.0 to prod.
func newWorld(t testing.TB, database string) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(), front: newFront(t), log: &log{}, database: database,
		repo: gittest.New(t), commits: map[string]towpath.CommitID{},
	}
	w.starts = filepath.Join(w.dir, "starts")
	agent := filepath.Join(w.dir, "agent")
	kindtest.KillProcesses(t, filepath.Join(agent, "run"), filepath.Join(agent, "router"))
	first, err := w.serve("")
	w.must(err)
	w.front.leadTo(first.address())
	w.set(first)
	admin := w.as(<-first.token)
	_, err = admin.RegisterProject(t.Context(), api.RegisterProject{Name: shop, Repository: w.repo.Dir})
	w.must(err)
	w.ana = w.person(admin, "ana", gittest.Ana.Email, towpath.RoleReleaser, towpath.RolePromoter, towpath.RoleOperator, towpath.RoleAdmin)
	w.ben = w.person(admin, "ben", gittest.Ben.Email, towpath.RoleApprover, towpath.RoleViewer)
	w.machine = []string{"TOWPATH_URL=" + w.front.url(), "TOWPATH_TOKEN=" + w.agentToken(admin)}
	w.must(w.startAgent(""))
	w.publish("1.0.0")
	w.runs("dev", "1.0.0")
	w.promote("1.0.0")
	return w
}

// startAgent starts the agent, which dies at a step unless that is empty.
func (w *world) startAgent(point string) error {
	p, err := w.start(append(slices.Clone(w.machine), failpoint.Variable+"="+point), "agent", "--place", "local", "--data", filepath.Join(w.dir, "agent"))
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.agent = p
	return nil
}

// killAgent ends the agent as kill -9 does, and starts another one.
func (w *world) killAgent() {
	w.t.Helper()
	w.endAgent()
	w.must(w.startAgent(""))
}

func (w *world) endAgent() {
	w.t.Helper()
	w.mu.Lock()
	p := w.agent
	w.mu.Unlock()
	p.stopping.Store(true)
	w.must(p.cmd.Process.Kill())
	<-p.ended
}

// armAgent starts the agent with a step to die at, and another one when it died.
func (w *world) armAgent(point string) {
	w.t.Helper()
	w.endAgent()
	w.must(w.startAgent(point))
	armed := w.agent
	w.whenItDies(armed, func() {
		w.deaths.Add(1)
		if err := w.startAgent(""); err != nil {
			w.t.Errorf("the agent does not come back: %v\n%s", err, w.log)
		}
	})
}

// whenItDies does something when a program dies that nobody stopped.
func (w *world) whenItDies(armed *program, then func()) {
	w.t.Helper()
	watched, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-armed.ended:
		case <-stop:
			return
		}
		if !armed.stopping.Load() {
			then()
		}
	}()
	w.t.Cleanup(func() { close(stop); <-watched })
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		hint := ""
		if e, ok := errors.AsType[*towpath.Error](err); ok {
			hint = e.Hint
		}
		w.t.Fatalf("%v %s\n%s", err, hint, w.log)
	}
}

// as is a client that repeats what was not answered for as long as it takes.
func (w *world) as(token string) *client.Client {
	w.t.Helper()
	c, err := client.New(client.Config{
		URL: w.front.url(), Token: client.Token(token), Attempts: 1000,
		Backoff: reconcile.Backoff{Base: 20 * time.Millisecond, Cap: 200 * time.Millisecond},
	})
	w.must(err)
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) person(admin *client.Client, name towpath.AccountName, email string, roles ...towpath.Role) *client.Client {
	w.t.Helper()
	_, err := admin.CreateAccount(w.t.Context(), api.CreateAccount{Name: name, Emails: []string{email}})
	w.must(err)
	for _, r := range roles {
		_, err := admin.Grant(w.t.Context(), name, towpath.Grant{Role: r})
		w.must(err)
	}
	token, err := admin.CreateToken(w.t.Context(), api.CreateToken{Account: name, Name: "test"})
	w.must(err)
	return w.as(token.Secret)
}

func (w *world) agentToken(admin *client.Client) string {
	w.t.Helper()
	_, err := admin.CreateAccount(w.t.Context(), api.CreateAccount{Name: "machine"})
	w.must(err)
	_, err = admin.Grant(w.t.Context(), "machine", towpath.Grant{Role: towpath.RoleAgent, Place: "local"})
	w.must(err)
	token, err := admin.CreateToken(w.t.Context(), api.CreateToken{Account: "machine", Name: "test"})
	w.must(err)
	return token.Secret
}

// layer is the files of a component: a script that becomes the test's program.
func (w *world) layer(version string) []byte {
	w.t.Helper()
	exe, err := os.Executable()
	w.must(err)
	script := "#!/bin/sh\n# " + version + "\nexec " + exe + " towpath-app\n"
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	w.must(tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "serve", Mode: 0o755, Size: int64(len(script)), Format: tar.FormatPAX}))
	_, err = io.WriteString(tw, script)
	w.must(errors.Join(err, tw.Close()))
	return buf.Bytes()
}

// publish commits and publishes a version.
func (w *world) publish(version string) {
	w.t.Helper()
	w.repo.WriteFile("api/version", version)
	w.commits[version] = w.repo.CommitAs(gittest.Ana, version)
	layer := w.layer(version)
	content := &towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: shop,
		Components: []towpath.ReleaseComponent{{
			Name: "api", Kind: towpath.KindProcess, Layer: towpath.DigestOf(layer), Size: int64(len(layer)),
			Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute}, Drift: cmp.Or(w.drift, towpath.DriftReport),
		}},
	}
	if w.canary != nil {
		content.Components[0].Rollout, content.Objectives = w.canary.Spec, w.canary.Objectives
	}
	for _, e := range []towpath.EnvironmentSpec{
		{Name: "dev", Promotion: towpath.PromotionAutomatic, Place: "local"},
		{
			Name: "prod", From: "dev", Branch: "production", Promotion: towpath.PromotionManual, Place: "local",
			Gates: towpath.GateRules{Approvals: &towpath.ApprovalRule{Count: 1}},
		},
	} {
		spec := w.spec(version, e.Name)
		content.Environments = append(content.Environments, towpath.ReleaseEnvironment{
			Rules: e,
			Components: []towpath.RenderedComponent{{
				Name: "api", Spec: spec, Revision: towpath.RevisionOf(towpath.KindProcess, towpath.DigestOf(layer), spec),
			}},
		})
	}
	enc, err := oci.Encode(content)
	w.must(err)
	for _, b := range [][]byte{layer, enc.Content} {
		w.must(w.ana.PutBlob(w.t.Context(), shop, towpath.DigestOf(b), int64(len(b)), func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b)), nil
		}))
	}
	provenance, err := json.Marshal(map[string]any{"subject": []any{map[string]any{"digest": map[string]string{"sha256": enc.Digest.Hex()}}}})
	w.must(err)
	_, err = w.ana.PublishRelease(w.t.Context(), shop, api.PublishRelease{
		Manifest: enc.Manifest, Provenance: provenance, Commit: w.commits[version], Ref: "main", Version: version,
	})
	w.must(err)
}

// spec is what a component is in an environment.
func (w *world) spec(version string, e towpath.EnvironmentName) []byte {
	w.t.Helper()
	smoke := []process.Job{{Name: "answers", HTTP: &process.HTTPCheck{Path: "/", Contains: version}, Timeout: 10 * time.Second}}
	b, err := oci.Canonical(process.Spec{
		Command: []string{"./serve"}, Listen: "127.0.0.1:0", Instances: 1, StopGrace: 5 * time.Second,
		Health: process.Health{Path: "/healthz", Interval: 50 * time.Millisecond, Timeout: 5 * time.Second, Deadline: 30 * time.Second},
		Env:    map[string]process.Value{kindtest.AppVersion: {Literal: version + " in " + string(e)}, kindtest.AppStarts: {Literal: w.starts}, kindtest.AppMode: {Literal: w.mode}},
		Verify: process.Verify{Before: smoke, After: smoke},
	})
	w.must(err)
	return b
}

var (
	secretPattern = regexp.MustCompile(`^ +(twp_\w+)$`)
	urlPattern    = regexp.MustCompile(`url=http://(\S+)`)
)

// arm starts the server with a step to die at, and another one when it died.
func (w *world) arm(point string) { w.armBeside(point, false) }

// armBeside is arm; with a spare another server on the same database is there before
// it dies. The one that is to die starts first: it leads where only one of them does.
func (w *world) armBeside(point string, spare bool) {
	w.t.Helper()
	armed, err := w.serve(point)
	w.must(err)
	w.front.leadTo(armed.address())
	w.set(armed)
	beside := make(chan *program, 1) // it ends without one
	w.whenItDies(armed, func() {
		w.killed.Store(time.Now().UnixMicro())
		w.kills.Add(1)
		if other := <-beside; other != nil { // a load balancer would have noticed
			w.front.leadTo(other.address())
			return
		}
		next, err := w.serve("")
		if err != nil {
			w.t.Errorf("the server does not come back: %v\n%s", err, w.log)
			return
		}
		w.front.leadTo(next.address())
		w.set(next)
	})
	defer close(beside)
	if !spare {
		return
	}
	other, err := w.serve("")
	w.must(err)
	other.address()
	beside <- other
}

func (w *world) set(p *program) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server = p
}

// stop ends the server in the usual way.
func (w *world) stop() {
	w.t.Helper()
	w.mu.Lock()
	p := w.server
	w.mu.Unlock()
	p.stopping.Store(true)
	w.must(p.cmd.Process.Signal(syscall.SIGTERM))
	<-p.ended
}

// serve starts a server, which dies at a step unless that is empty.
func (w *world) serve(point string) (*program, error) {
	args := []string{"server", "--data", filepath.Join(w.dir, "server"), "--listen", "127.0.0.1:0"}
	if w.database != "" {
		args = append(args, "--database", w.database)
	}
	return w.start([]string{failpoint.Variable + "=" + point}, args...)
}

// start starts a program.
func (w *world) start(env []string, args ...string) (*program, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &program{cmd: exec.Command(exe, args...), token: make(chan string, 1), listens: make(chan string, 1), ended: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(w.dir, "state")), env...)
	r, out := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		_ = out.Close()
		close(p.ended)
	}()
	w.t.Cleanup(func() {
		p.stopping.Store(true)
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	go func() {
		in := bufio.NewScanner(r)
		for in.Scan() {
			w.log.add(args[0] + ": " + in.Text())
			if m := secretPattern.FindStringSubmatch(in.Text()); m != nil {
				p.token <- m[1]
			}
			if m := urlPattern.FindStringSubmatch(in.Text()); m != nil && args[0] == "server" {
				p.listens <- m[1]
			}
		}
	}()
	return p, nil
}
