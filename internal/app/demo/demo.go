package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/towpath/towpath/examples"
	agentapp "github.com/towpath/towpath/internal/app/agent"
	"github.com/towpath/towpath/internal/app/dev"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

// demo is one showing.
type demo struct {
	t       cli.Terminal
	root    string // of the sample project
	data    string
	dev     *dev.Dev
	ana     *client.Client // writes the code
	ben     *client.Client // approves
	project towpath.ProjectName
	began   time.Time
	tree    *tree
	users   *users // of prod, from when it runs something
}

// Run shows everything and cleans up, unless it is told to keep it running.
func Run(ctx context.Context, t cli.Terminal, o cli.DemoOptions, version string) (err error) {
	for _, program := range []string{"git", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			return towpath.E(towpath.KindInvalid, "demo", "the demo needs %s: it builds its sample project with it", program).
				WithHint("install %s and make sure that it is in PATH", program)
		}
	}
	root, err := folder(o.Dir)
	if err != nil {
		return err
	}
	d := &demo{t: t, root: root, data: filepath.Join(root, ".towpath"), began: time.Now(), tree: newTree(t)}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	defer func() {
		if o.Keep && err == nil {
			d.invite()
			<-ctx.Done()
		}
		stop()
		if d.dev != nil {
			err = errors.Join(err, <-ended)
		}
		err = errors.Join(err, d.cleanUp(o.Dir == ""))
	}()
	if err := d.prepare(ctx, version); err != nil {
		return err
	}
	go func() { ended <- d.dev.Run(ctx) }()
	if err := d.tell(ctx); err != nil {
		return err
	}
	if !o.Keep {
		d.farewell()
	}
	return nil
}

// folder makes the folder of the sample project, which must be empty.
func folder(dir string) (string, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "towpath-demo-")
		if err != nil {
			return "", towpath.E(towpath.KindUnavailable, "demo", "no temporary folder can be made").WithCause(err)
		}
		return filepath.EvalSymlinks(dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a project's folder is for its users
		return "", towpath.E(towpath.KindInvalid, "demo", "the folder can't be made").On(dir).WithCause(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return "", towpath.E(towpath.KindInvalid, "demo", "the folder is not empty").On(dir).WithHint("give --dir a new one").WithCause(err)
	}
	return filepath.Abs(dir)
}

// prepare makes the sample repository and puts all roles together.
func (d *demo) prepare(ctx context.Context, version string) error {
	return d.tree.step("A git repository with the branches dev, staging and main", func() (string, error) {
		if err := examples.Write(examples.Shop, d.root); err != nil {
			return "", towpath.E(towpath.KindUnavailable, "demo", "the sample project can't be written").WithCause(err)
		}
		if err := d.careful(); err != nil {
			return "", err
		}
		for _, args := range [][]string{
			{"init", "--quiet", "--initial-branch=dev", "."},
			{"add", "."},
			{"commit", "--quiet", "-m", "Sell things"},
			{"branch", "staging"},
			{"branch", "main"},
		} {
			if err := d.git(ctx, args...); err != nil {
				return "", err
			}
		}
		var err error
		d.dev, err = dev.New(ctx, dev.Options{
			Root: d.root, Data: d.data, Listen: "127.0.0.1:0", Version: version, Owner: "ana",
			Emails: []string{"ana@example.com"}, Log: d.log(),
		})
		if err != nil {
			return "", err
		}
		d.project, d.ana = d.dev.Project, d.dev.Client
		token, err := d.dev.Server.Account(ctx, "ben", []string{"ben@example.com"},
			[]towpath.Role{towpath.RoleViewer, towpath.RoleApprover, towpath.RoleOperator}, 24*time.Hour)
		if err != nil {
			return "", err
		}
		if d.ben, err = client.New(client.Config{URL: d.dev.Server.URL(), Token: client.Token(token.Secret)}); err != nil {
			return "", err
		}
		file := cli.ClientFile{URL: d.dev.Server.URL(), Token: d.dev.Token, Project: d.project}
		return d.root, file.Save(d.root)
	})
}

// git runs git as ana, untouched by the user's configuration.
func (d *demo) git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = d.root
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ana", "GIT_AUTHOR_EMAIL=ana@example.com", "GIT_COMMITTER_NAME=Ana", "GIT_COMMITTER_EMAIL=ana@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		return towpath.E(towpath.KindInternal, "demo", "git %s failed: %s", args[0], strings.TrimSpace(string(out))).WithCause(err)
	}
	return nil
}

func (d *demo) log() *slog.Logger {
	if err := os.MkdirAll(d.data, 0o700); err == nil {
		if f, err := os.OpenFile(filepath.Join(d.data, "towpath.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
			return slog.New(slog.NewTextHandler(f, nil))
		}
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// cleanUp stops what runs and, for a folder of our own, removes it.
func (d *demo) cleanUp(remove bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := agentapp.Stop(ctx, agentapp.Config{Data: filepath.Join(d.data, "agent"), Log: slog.New(slog.DiscardHandler)})
	if remove {
		err = errors.Join(err, removeAll(d.root))
	}
	return err
}

// removeAll removes a folder that has read-only folders in it.
func removeAll(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // about to be removed
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// invite says what to try next while everything goes on running.
func (d *demo) invite() {
	name := program()
	fmt.Fprintf(d.t.Stdout, "\nIt goes on running until Ctrl-C. In another terminal, try:\n\n"+
		"  %[1]s -C %[2]s status\n  %[1]s -C %[2]s release diff 1.0.0 1.1.0 --env prod\n  %[1]s -C %[2]s audit list\n", name, d.root)
}

// farewell says what to try next.
func (d *demo) farewell() {
	fmt.Fprintf(d.t.Stdout, "\nThat took %[1]s; the server's peak was %[2]s. Try next:\n\n"+
		"  %[3]s demo --keep      leave it running, and look around\n"+
		"  %[3]s init             adopt a repository of your own\n"+
		"  %[3]s dev              run all of Towpath for it\n", time.Since(d.began).Round(100*time.Millisecond), peak(), program())
}

// program is how this program is called from the user's shell: by its name
// where that finds it, else by its path.
func program() string {
	self, err := os.Executable()
	if err != nil {
		return "towpath"
	}
	found, err := exec.LookPath("towpath")
	if err != nil {
		return self
	}
	a, errA := os.Stat(found)
	b, errB := os.Stat(self)
	if errA == nil && errB == nil && os.SameFile(a, b) {
		return "towpath"
	}
	return self
}

// peak is the most memory that this process, which is the server, had.
func peak() string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib int
			if _, err := fmt.Sscan(rest, &kib); err == nil {
				return fmt.Sprintf("%d MiB", kib>>10)
			}
		}
	}
	return "unknown"
}
