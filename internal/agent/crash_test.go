//go:build !race

// What dies here are processes of their own, which the race detector does not see.

package agent_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// TestAgent_Crash kills the agent at every step that the code names, in every
// operation that passes it: a release is deployed, and then the next one by
// steps, first of its share of the traffic and then of its instances, and
// repaired twice, of which the first time fails and is gone back from; then another
// one gets copies and a share, and is gone back from, with a client that asks all
// the time. Whatever the moment, the deployment goes on after a restart, nothing is
// started twice for the same operation, no request is lost.
func TestAgent_Crash(t *testing.T) {
	points := namedSteps(t)
	if len(points) < 10 {
		t.Fatalf("found only the steps %q", points)
	}
	for _, point := range points {
		t.Run("at "+point, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				if !crashHits(n) {
					if n > 19 {
						return
					}
					continue
				}
				if reached := crashAt(t, fmt.Sprintf("%s:%d", point, n)); !reached {
					if n == 1 {
						t.Errorf("no operation passes %s", point)
					}
					return
				}
			}
		})
	}
}

// namedSteps are the failpoints in the sources of the agent and of the runner.
func namedSteps(t *testing.T) []string {
	t.Helper()
	var out []string
	hit := regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`)
	for _, dir := range []string{".", "../kind/process/run"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range hit.FindAllSubmatch(b, -1) {
				out = append(out, string(m[1]))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// badRepair is a repair whose last verification job fails, once it has the
// traffic: its files are in a folder of its name.
const badRepair = "op_bad-repair"

// crashAt runs the story with an agent that dies at a step, and starts another.
// It reports whether the step was reached.
func crashAt(t *testing.T, point string) (reached bool) {
	t.Helper()
	w := newHost(t)
	verbs := []towpath.Verb{towpath.VerbPrepare, towpath.VerbVerifyBefore, towpath.VerbSwitch, towpath.VerbVerifyAfter, towpath.VerbRetire}
	var ids []towpath.OperationID
	for _, rev := range []string{kindtest.One, kindtest.Two} {
		for _, v := range verbs {
			ops := []towpath.Operation{w.op(t, v, rev)}
			switch {
			case rev == kindtest.One:
			case v == towpath.VerbPrepare:
				ops[0].Spec.Scale = &towpath.Scale{Instances: 1, Room: 2}
			case v == towpath.VerbSwitch:
				ops[0].Spec.Scale = &towpath.Scale{Instances: 2, Room: 1}
				half := w.shift(t, kindtest.Two, kindtest.One, 50)
				half.Spec.Scale = &towpath.Scale{Instances: 1, Room: 2, Rest: 1}
				ops = []towpath.Operation{w.shift(t, kindtest.Two, kindtest.One, 20), half, ops[0]}
			}
			for _, op := range ops {
				ids = append(ids, op.ID)
				w.srv.add(t, op)
			}
		}
	}
	bad, repair := w.op(t, towpath.VerbRepair, kindtest.Two), w.op(t, towpath.VerbRepair, kindtest.Two)
	bad.ID = badRepair
	copies := w.shift(t, kindtest.One, kindtest.Two, 0)
	copies.Spec.Copies = &towpath.TrafficCopies{Percent: 50}
	back := w.op(t, towpath.VerbRestore, kindtest.Two)
	back.Spec.Previous = w.spec(t, kindtest.One).Revision
	for _, op := range []towpath.Operation{
		bad, repair,
		w.op(t, towpath.VerbPrepare, kindtest.One), w.op(t, towpath.VerbVerifyBefore, kindtest.One), copies, w.shift(t, kindtest.One, kindtest.Two, 20),
		back, w.op(t, towpath.VerbRetire, kindtest.Two),
	} {
		ids = append(ids, op.ID)
		w.srv.add(t, op)
	}
	dead := w.start(t, failpoint.Variable+"="+point)
	clients := w.clients(t, ids[2])
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for _, id := range ids {
			want := towpath.ResultDone
			if id == badRepair {
				want = towpath.ResultFailed
			}
			if r := w.srv.result(t, id); r.Status != want {
				t.Errorf("%s: %s: %+v\n%s", point, id, r, w.log)
			}
		}
	}()
	select {
	case <-dead:
		reached = true
		w.start(t)
		<-finished
	case <-finished:
	}
	if reached {
		// It has still to hear that the last result was taken.
		two := w.spec(t, kindtest.Two).Revision
		w.srv.wait(t, "what runs is observed", func() bool {
			return len(w.srv.observed) == 1 && w.srv.observed[0].Revision == two
		})
	}
	if lost, asked := clients(); lost > 0 || asked == 0 {
		t.Errorf("%s: %d of %d requests were lost\n%s", point, lost, asked, w.log)
	}
	// A repair that failed and was taking its instances away is made anew, with
	// new ones for those that are gone.
	again := 0
	if strings.Contains(fmt.Sprint(w.log), `msg="operation recovered" operation=`+badRepair+" verb=repair outcome=not-started") {
		again = 2
	}
	for rev, want := range map[string]int{kindtest.One: 4, kindtest.Two: 6} {
		n := kindtest.CountStarts(t, w.starts, rev)
		if rev == kindtest.Two && want <= n && n <= want+again {
			continue
		}
		if n != want {
			t.Errorf("%s: %s was started %d times\n%s", point, rev, n, w.log)
		}
	}
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	if len(w.srv.finishes) != len(ids) || w.srv.errors > 0 {
		t.Errorf("%s: %d operations ended and %d had errors\n%s", point, len(w.srv.finishes), w.srv.errors, w.log)
	}
	return reached
}

// host is a machine with an agent in a process of its own.
type host struct {
	srv    *server
	url    string
	dir    string
	starts string
	n      int
	log    *lockedBuffer
}

func newHost(t *testing.T) *host {
	t.Helper()
	dir := t.TempDir()
	kindtest.KillProcesses(t, filepath.Join(dir, "run"), filepath.Join(dir, "router"))
	srv := newServer(t)
	return &host{srv: srv, url: srv.listen(t), dir: dir, starts: filepath.Join(dir, "starts"), log: &lockedBuffer{}}
}

// start starts the agent; the channel closes when a signal has killed it.
func (h *host) start(t *testing.T, env ...string) <-chan struct{} {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "towpath-agent", h.dir, h.url)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = h.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		err := cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			close(killed)
		}
	}()
	t.Cleanup(func() { // before the processes are ended: it would start them again
		_ = cmd.Process.Kill()
		<-ended
	})
	return killed
}

func (h *host) layer(t *testing.T, rev string) (towpath.Digest, int64) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\n# " + rev + "\nexec " + exe + " towpath-app\n"
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	if err := errors.Join(
		tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "serve", Mode: 0o755, Size: int64(len(script)), Format: tar.FormatPAX}),
		writeString(tw, script), tw.Close(),
	); err != nil {
		t.Fatal(err)
	}
	d := towpath.DigestOf(buf.Bytes())
	h.srv.locked(func() { h.srv.blobs[d] = buf.Bytes() })
	return d, int64(buf.Len())
}

func writeString(tw *tar.Writer, s string) error {
	_, err := tw.Write([]byte(s))
	return err
}

func (h *host) spec(t *testing.T, rev string) towpath.OperationSpec {
	t.Helper()
	layer, size := h.layer(t, rev)
	smoke := []process.Job{{Name: "answers", HTTP: &process.HTTPCheck{Path: "/", Contains: rev}, Timeout: 10 * time.Second}}
	after := process.Job{Name: "is no bad repair", Command: []string{"/bin/sh", "-c", "case $PWD in *" + badRepair + "*) exit 7;; esac"}, Timeout: 10 * time.Second}
	b, err := json.Marshal(process.Spec{
		Command: []string{"./serve"}, Listen: "127.0.0.1:0", Instances: 2, StopGrace: 5 * time.Second,
		Health: process.Health{Path: "/healthz", Interval: 50 * time.Millisecond, Timeout: 5 * time.Second, Deadline: 30 * time.Second},
		Env:    map[string]process.Value{kindtest.AppVersion: {Literal: rev}, kindtest.AppStarts: {Literal: h.starts}},
		Verify: process.Verify{Before: smoke, After: append(smoke, after)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return towpath.OperationSpec{
		Kind: towpath.KindProcess, Release: towpath.DigestOf([]byte("release " + rev)), Layer: layer, Size: size, Rendered: b,
		Revision: towpath.RevisionOf(towpath.KindProcess, layer, b), Timeout: time.Minute,
	}
}

func (h *host) op(t *testing.T, verb towpath.Verb, rev string) towpath.Operation {
	t.Helper()
	h.n++
	return towpath.Operation{
		ID: towpath.OperationID("op_" + strconv.Itoa(h.n) + "_" + string(verb) + "_" + rev), Verb: verb, Spec: h.spec(t, rev),
		Target:     towpath.Target{Project: "shop", Environment: "dev", Component: "api", Place: "local", Slot: towpath.SlotMain},
		Deployment: towpath.DeploymentID("dep_" + rev),
	}
}

// shift gives a revision a share of another one's traffic.
func (h *host) shift(t *testing.T, rev, previous string, weight int) towpath.Operation {
	t.Helper()
	op := h.op(t, towpath.VerbShift, rev)
	op.Spec.Weight, op.Spec.Previous = weight, h.spec(t, previous).Revision
	return op
}

// clients asks the component's address all the time once an operation has
// ended. The function ends it and counts.
func (h *host) clients(t *testing.T, after towpath.OperationID) func() (lost, asked int64) {
	t.Helper()
	var lost, asked atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		address := h.srv.result(t, after).Outputs["address"]
		next := time.NewTicker(3 * time.Millisecond)
		defer next.Stop()
		for {
			select {
			case <-stop:
				return
			case <-next.C:
			}
			asked.Add(1)
			if got := kindtest.Get("http://" + address); got != kindtest.One && got != kindtest.Two {
				lost.Add(1)
			}
		}
	}()
	return func() (int64, int64) {
		close(stop)
		<-ended
		return lost.Load(), asked.Load()
	}
}
