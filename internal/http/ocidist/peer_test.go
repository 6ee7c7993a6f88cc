package ocidist_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/towpathtest/peertest"
)

// clients is how many push or pull at once.
const clients = 8

// load is what both registries are given: artifacts, in rounds.
type load struct {
	name          string
	size          int // bytes of the one blob of an artifact
	rounds, round int // artifacts of a round
	ends          int // rounds that are compared: the first ones with the last
}

// BenchmarkPeer gives the same artifacts to the real server and to distribution,
// each a process of its own that is pushed to and pulled from by the same code.
// They take turns, round by round, so that both meet the machine in the same
// mood. Distribution syncs the content of each file and the folders of its
// links, but not the folder that a blob is moved into: so each round is counted
// as it is, and with a sync of the file system at its end, for both.
func BenchmarkPeer(b *testing.B) {
	for _, l := range []load{
		{"5000 of 4 KiB", 4 << 10, 10, 500, 2},
		{"200 of 1 MiB", 1 << 20, 10, 20, 2},
	} {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				l.run(b)
			}
		})
	}
}

func (l load) run(b *testing.B) {
	peer := peertest.Distribution()
	theirs := peertest.Start(b, peer)
	both := []*contestant{
		real(b),
		{name: peer.Name + " " + peer.Version, pid: theirs.PID, data: theirs.Data, target: ocitest.Target{URL: theirs.URL}},
	}
	for _, c := range both {
		c.prepare(b)
	}
	ours, others := both[0], both[1]
	bare := &disk{dir: b.TempDir()}
	for round := range l.rounds {
		artifacts := l.make(b, round)
		for _, c := range both {
			c.push(b, artifacts)
		}
		bare.write(b, artifacts)
		slices.Reverse(both) // nobody is always the first
	}
	for round := range l.rounds {
		for _, c := range both {
			c.pull(b, l, round)
		}
		slices.Reverse(both)
	}
	l.report(b, ours, others, bare)
}

// make makes the artifacts of a round.
func (l load) make(b *testing.B, round int) []artifact {
	out := make([]artifact, l.round)
	for i := range out {
		out[i] = newArtifact(b, ocitest.Random(l.size), tag(round*l.round+i))
	}
	return out
}

func tag(n int) string { return fmt.Sprint("t", n) }

// contestant is a registry in a process of its own, with what was measured.
type contestant struct {
	name, data string
	pid        int
	target     ocitest.Target
	client     *ocitest.Client
	idle       int64  // bytes
	pushes     []turn // each round
	pulls      []turn // likewise
}

// turn is what one round took.
type turn struct {
	took   time.Duration
	synced time.Duration // and a sync after it
	worked time.Duration // of processors, for its process
}

func (a turn) plus(b turn) turn {
	return turn{a.took + b.took, a.synced + b.synced, a.worked + b.worked}
}

// real is the server as people run it, with SQLite and blobs on disk.
func real(b *testing.B) *contestant {
	b.Helper()
	dir := b.TempDir()
	bin, data := filepath.Join(dir, "towpath"), filepath.Join(dir, "data")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "github.com/towpath/towpath/cmd/towpath")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(bin, "server", "--data", data, "--listen", "127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait(); _ = w.Close() }()
	b.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	said := bufio.NewReader(r)
	secret := find(b, said, `^ +(twp_\w+)\n`)
	url := find(b, said, `url=(http\S+)`)
	go func() { _, _ = io.Copy(io.Discard, said) }()
	settle(b, url, secret)
	return &contestant{name: "towpath", pid: cmd.Process.Pid, data: data, target: ocitest.Target{URL: url, User: "admin", Secret: secret}}
}

// find reads lines until one matches, and returns its first group.
func find(b *testing.B, r *bufio.Reader, pattern string) string {
	b.Helper()
	re := regexp.MustCompile(pattern)
	for {
		line, err := r.ReadString('\n')
		if m := re.FindStringSubmatch(line); m != nil {
			return m[1]
		}
		if err != nil {
			b.Fatalf("the server never said %q: %v", pattern, err)
		}
	}
}

// settle registers the project, and lets the administrator push.
func settle(b *testing.B, url, secret string) {
	b.Helper()
	c, err := client.New(client.Config{URL: url, Token: client.Token(secret)})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := c.RegisterProject(b.Context(), api.RegisterProject{Name: shop}); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Grant(b.Context(), "admin", towpath.Grant{Role: towpath.RoleReleaser}); err != nil {
		b.Fatal(err)
	}
}

// prepare pushes what every artifact needs, and looks how much memory the
// registry has when it is idle.
func (c *contestant) prepare(b *testing.B) {
	b.Helper()
	c.target.Repository = "shop/measured"
	c.client = ocitest.NewClient(b, c.target)
	c.client.HTTP.Transport = &http.Transport{MaxIdleConnsPerHost: clients}
	c.client.PushBlob([]byte("{}"))
	c.idle, _ = peertest.Memory(b, c.pid)
}

// push pushes the artifacts of a round.
func (c *contestant) push(b *testing.B, artifacts []artifact) {
	c.sync(b) // of what others left
	t := c.turn(b, len(artifacts), func(i int) { pushOne(b, c.client, artifacts[i]) })
	begun := time.Now()
	c.sync(b)
	t.synced = time.Since(begun)
	c.pushes = append(c.pushes, t)
}

// pull pulls the artifacts of a round.
func (c *contestant) pull(b *testing.B, l load, round int) {
	c.pulls = append(c.pulls, c.turn(b, l.round, func(i int) { pullOne(b, c.client, tag(round*l.round+i)) }))
}

func (c *contestant) turn(b *testing.B, n int, do func(i int)) turn {
	b.Helper()
	begun, worked := time.Now(), peertest.Worked(b, c.pid)
	together(n, do)
	return turn{took: time.Since(begun), worked: peertest.Worked(b, c.pid) - worked}
}

// together does n things, some of them at once.
func together(n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// sync makes all that the registry wrote durable.
func (c *contestant) sync(b *testing.B) {
	b.Helper()
	if out, err := exec.CommandContext(context.WithoutCancel(b.Context()), "sync", "-f", c.data).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
}

// disk is what both write to, without a registry: as many files as an artifact has,
// each synced, moved to where its digest says, and its folder synced. What gets
// slower with time here is no registry's doing.
type disk struct {
	dir   string
	turns []turn
}

func (d *disk) write(b *testing.B, artifacts []artifact) {
	b.Helper()
	begun := time.Now()
	together(len(artifacts), func(i int) {
		for _, content := range [][]byte{artifacts[i].content, artifacts[i].manifest} {
			if err := d.put(content); err != nil {
				b.Error(err)
			}
		}
	})
	d.turns = append(d.turns, turn{took: time.Since(begun)})
}

func (d *disk) put(content []byte) error {
	name := towpath.DigestOf(content).Hex()
	folder := filepath.Join(d.dir, name[:2])
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.dir, "")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close(), os.Rename(f.Name(), filepath.Join(folder, name))); err != nil {
		return err
	}
	in, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(in.Sync(), in.Close())
}

// report prints what was measured, for both and as a ratio.
func (l load) report(b *testing.B, ours, theirs *contestant, bare *disk) {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\n\t%s\t%s\tratio\t\n", ours.name, theirs.name)
	row := func(name, format string, value func(c *contestant) float64) {
		us, them := value(ours), value(theirs)
		fmt.Fprintf(t, "%s\t"+format+"\t"+format+"\t%.2f\t\n", name, us, them, us/them)
	}
	rates := func(name string, turns func(c *contestant) []turn) {
		row(name+", 1/s", "%.0f", func(c *contestant) float64 {
			return float64(l.round*len(turns(c))) / sum(turns(c)).took.Seconds()
		})
		row("  processor time of one, ms", "%.2f", func(c *contestant) float64 {
			return sum(turns(c)).worked.Seconds() * 1000 / float64(l.round*len(turns(c)))
		})
	}
	rates("pushes", func(c *contestant) []turn { return c.pushes })
	row("pushes, with a sync after each round, 1/s", "%.0f", func(c *contestant) float64 {
		all := sum(c.pushes)
		return float64(l.round*len(c.pushes)) / (all.took + all.synced).Seconds()
	})
	rates(fmt.Sprintf("the first %d pushes", l.ends*l.round), func(c *contestant) []turn { return c.pushes[:l.ends] })
	rates(fmt.Sprintf("the last %d pushes", l.ends*l.round), func(c *contestant) []turn { return c.pushes[len(c.pushes)-l.ends:] })
	pace := func(turns []turn) float64 {
		return sum(turns[:l.ends]).took.Seconds() / sum(turns[len(turns)-l.ends:]).took.Seconds()
	}
	row("  these over the first", "%.2f", func(c *contestant) float64 { return pace(c.pushes) })
	fmt.Fprintf(t, "  the same of the disk alone\t%.2f\t\t\t\n", pace(bare.turns))
	rates("pulls", func(c *contestant) []turn { return c.pulls })
	row("memory when idle, MiB", "%.1f", func(c *contestant) float64 { return float64(c.idle) / (1 << 20) })
	row("peak memory above that, MiB", "%.1f", func(c *contestant) float64 {
		_, peak := peertest.Memory(b, c.pid)
		return float64(peak-c.idle) / (1 << 20)
	})
	if err := t.Flush(); err != nil {
		b.Fatal(err)
	}
	fmt.Println(text.String()) // of what a benchmark logs only the first lines are shown
}

func sum(turns []turn) (all turn) {
	for _, t := range turns {
		all = all.plus(t)
	}
	return all
}
