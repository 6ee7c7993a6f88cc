package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
)

const (
	maxSkew = 5 * time.Second // between this clock and the server's
	minDisk = 1 << 30         // bytes free
)

// finding is what doctor says of one thing.
type finding struct {
	Check   string `json:"check"`
	Status  string `json:"status"` // ok, warn, fail
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func newDoctor(s *session) *cobra.Command {
	var data []string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check git, project, server, token, versions, agents, clocks and disk", Args: positional(0, 0),
		Long: "Disks are those of this machine: of this folder, of .towpath, and of the data of a server or an agent, where that is in its usual folder\n" +
			"or named with --data.",
		RunE: func(cmd *cobra.Command, _ []string) error { return s.runDoctor(cmd.Context(), data) },
	}
	cmd.Flags().StringArrayVar(&data, "data", nil, "folder that a server or an agent on this machine was given as --data (repeat it for several)")
	return cmd
}

func (s *session) runDoctor(ctx context.Context, data []string) error {
	d := &doctor{s: s}
	d.git(ctx)
	d.project()
	d.disks(data)
	if c, err := s.client(); err != nil {
		d.failed("server", err)
	} else if d.server(ctx, c) && d.token(ctx, c) {
		d.agents(ctx, c)
	}
	r := result{data: struct {
		Checks []finding `json:"checks"`
	}{d.found}, show: func(p *page) {
		for _, f := range d.found {
			sign := map[string]string{"ok": p.style.good("✓"), "warn": p.style.warn("!"), "fail": p.style.bad("✗")}[f.Status]
			p.line("%s %-8s %s", sign, f.Check, f.Message)
			if f.Hint != "" {
				p.line("  %-8s %s %s", "", p.style.note("hint:"), f.Hint)
			}
		}
	}}
	bad := false
	for _, f := range d.found {
		r.names = append(r.names, f.Check+" "+f.Status)
		bad = bad || f.Status == "fail"
	}
	if err := s.print(r); err != nil {
		return err
	}
	if bad {
		return outcome(ExitError)
	}
	return nil
}

type doctor struct {
	s     *session
	found []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.found = append(d.found, finding{check, "ok", fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, hint, format string, args ...any) {
	d.found = append(d.found, finding{check, "warn", fmt.Sprintf(format, args...), hint})
}

func (d *doctor) failed(check string, err error) {
	message, hint, _ := describe(err)
	d.found = append(d.found, finding{check, "fail", message, hint})
}

func (d *doctor) git(ctx context.Context) {
	out, err := exec.CommandContext(ctx, "git", "--version").Output()
	if err != nil {
		d.failed("git", towpath.E(towpath.KindUnavailable, "", "git can't be run").WithHint("install git 2.38 or later").WithCause(err))
		return
	}
	d.ok("git", "%s", strings.TrimSpace(string(out)))
}

func (d *doctor) project() {
	path := d.s.upward(projectFile)
	if path == "" {
		d.warn("project", "run towpath init in your repository", "there is no %s here or above", projectFile)
		return
	}
	src, err := os.ReadFile(path)
	if err == nil && d.s.apps.Check != nil {
		err = d.s.apps.Check(src)
	}
	switch name := d.s.projectOfFile(); {
	case err != nil:
		d.failed("project", err)
	case name == "":
		d.warn("project", "its first lines read version: 1 and project: NAME", "%s names no project", path)
	default:
		d.ok("project", "%s (%s)", name, path)
	}
}

// disks looks at the folders of this machine that Towpath writes to, as far as one
// can know them: those of a remote server are told by its readiness.
func (d *doctor) disks(data []string) {
	d.disk("this folder", d.s.flags.dir)
	for _, folder := range data {
		d.disk("the data", folder)
	}
	usual := []struct{ whose, path string }{{"the server's data", serverData}, {"the agent's data", agentData}}
	if path := d.s.upward(clientFile); path != "" {
		usual = append(usual, struct{ whose, path string }{"the data of towpath dev", filepath.Dir(path)})
	}
	for _, u := range usual {
		if _, err := os.Stat(u.path); err == nil && !slices.Contains(data, u.path) {
			d.disk(u.whose, u.path)
		}
	}
}

// disk looks at the disk of one folder.
func (d *doctor) disk(whose, folder string) {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		d.failed("disk", towpath.E(towpath.KindInvalid, "", "%s, %s, can't be examined", whose, folder).WithCause(err).
			WithHint("name a folder that is there, as somebody who may look into it"))
		return
	}
	free := int64(fs.Bavail) * int64(fs.Bsize) //nolint:unconvert // their types differ between platforms
	if free < minDisk {
		d.warn("disk", "make room: builds and releases need it", "%s free for %s, %s", size(free), whose, folder)
		return
	}
	d.ok("disk", "%s free for %s, %s", size(free), whose, folder)
}

func (d *doctor) server(ctx context.Context, c *client.Client) bool {
	began := d.s.apps.Now()
	server, err := c.Server(ctx)
	ended := d.s.apps.Now()
	if err != nil {
		d.failed("server", err)
		return false
	}
	d.ok("server", "%s answers in %s", c.URL(), seconds(ended.Sub(began)))
	if server.Version == d.s.apps.Version {
		d.ok("version", "%s on both sides", server.Version)
	} else {
		d.warn("version", "use the same version", "this binary is %s, the server is %s", d.s.apps.Version, server.Version)
	}
	// The server read its clock between the two readings of ours.
	skew := max(began.Sub(server.Time), server.Time.Sub(ended), 0)
	if skew > maxSkew {
		d.warn("clock", "run NTP on both machines; windows and tokens go by the server's clock", "this clock and the server's are %s apart", seconds(skew))
	} else {
		d.ok("clock", "agrees with the server's")
	}
	d.readiness(ctx, c)
	return true
}

func (d *doctor) readiness(ctx context.Context, c *client.Client) {
	ready, err := c.Ready(ctx)
	if err != nil {
		d.failed("ready", err)
		return
	}
	for _, r := range ready.Checks {
		if !r.OK {
			d.warn("ready", r.Hint, "%s: %s", r.Name, r.Message)
		}
	}
	if ready.Status == api.Ready {
		d.ok("ready", "the server is ready")
	}
}

func (d *doctor) token(ctx context.Context, c *client.Client) bool {
	me, err := c.Me(ctx)
	if err != nil {
		d.failed("token", err)
		return false
	}
	d.ok("token", "of %s, with %s", me.Account, plural(len(me.Grants), "role", "roles"))
	return true
}

func (d *doctor) agents(ctx context.Context, c *client.Client) {
	_, project, err := d.s.target()
	if err != nil {
		return // said by project
	}
	status, err := c.Status(ctx, project, "")
	if err != nil {
		d.failed("agents", err)
		return
	}
	for _, e := range status.Environments {
		// A plan is made by agents: one that is late says that there is none.
		if e.Proposed == nil && len(e.Queue) > 0 && e.Queue[0].Phase == towpath.PromotionPlanning && e.Queue[0].Reason != "" {
			d.warn("agents", "start the agent of its place: towpath agent --place PLACE", "%s waits for a plan: %s", e.Environment, e.Queue[0].Reason)
		}
		switch e.Phase {
		case inventory.PhaseUnknown:
			d.warn("agents", "start the agent of its place", "nothing has been heard of what runs in %s", e.Environment)
		case inventory.PhaseFailed:
			d.warn("agents", "look with: towpath status "+string(e.Environment), "%s needs a person", e.Environment)
		case inventory.PhaseProposed:
			d.warn("agents", "look at its rules and open it: towpath open "+string(e.Environment), "nobody has opened %s: nothing is deployed into it", e.Environment)
		case inventory.PhaseEmpty:
		default:
			d.ok("agents", "%s is seen", e.Environment)
		}
	}
}
