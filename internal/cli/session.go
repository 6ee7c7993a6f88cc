package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

// session is one run of the program: what it reads, writes and was told.
type session struct {
	apps           Apps
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	flags          globalFlags
	style          style           // of stderr
	ctx            context.Context // of the command, with its time limit
	cancel         context.CancelFunc
	connection     *client.Client
	warned         bool // about a readable token
	waits          waits
}

// globalFlags are those of every command.
type globalFlags struct {
	url, token, project string
	output              format
	dir                 string
	timeout             time.Duration
}

func newSession(stdin io.Reader, stdout, stderr io.Writer, env func(string) string, apps Apps) *session {
	s := &session{apps: apps, stdin: stdin, stdout: stdout, stderr: stderr, env: env}
	s.flags.output = formatTable
	s.style = newStyle(s.colour(stderr))
	return s
}

func (s *session) close() {
	if s.connection != nil {
		s.connection.Close()
	}
	if s.cancel != nil {
		s.cancel()
	}
}

// colour follows https://no-color.org: a terminal, unless NO_COLOR is set.
func (s *session) colour(w io.Writer) bool {
	return isTerminal(w) && s.env("NO_COLOR") == "" && s.env("TERM") != "dumb"
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth is that of the terminal that v is, 0 for what is none.
func terminalWidth(v any) int {
	f, ok := v.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// interactive: a person reads stderr and types on stdin.
func (s *session) interactive() bool { return isTerminal(s.stdin) && isTerminal(s.stderr) }

func (s *session) terminal() Terminal {
	return Terminal{Stdin: s.stdin, Stdout: s.stdout, Stderr: s.stderr, Interactive: isTerminal(s.stderr), Colour: s.style.on}
}

// say prints a line of progress. Lines end where the format says, not in values.
func (s *session) say(format string, args ...any) {
	_, _ = io.WriteString(s.stderr, s.style.clean(fmt.Sprintf(s.style.lines(format+"\n"), args...))) // progress that can't be shown is no failure
}

// client connects to the server that flags, environment or files name.
func (s *session) client() (*client.Client, error) {
	if s.connection != nil {
		return s.connection, nil
	}
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	if set.URL == "" {
		return nil, towpath.E(towpath.KindInvalid, "", "no server is known here").
			WithHint("run towpath dev in this project, or give --url, TOWPATH_URL or %s", clientFile)
	}
	c, err := client.New(client.Config{URL: set.URL, Token: client.Token(set.Token), UserAgent: "towpath/" + s.apps.Version})
	if err != nil {
		return nil, err
	}
	s.connection = c
	return c, nil
}

// target is the client and the project that a command is about.
func (s *session) target() (*client.Client, towpath.ProjectName, error) {
	c, err := s.client()
	if err != nil {
		return nil, "", err
	}
	set, err := s.settings()
	if err != nil {
		return nil, "", err
	}
	if set.Project == "" {
		return nil, "", towpath.E(towpath.KindInvalid, "", "no project is known here").
			WithHint("run it in a folder with towpath.yaml, or give --project or TOWPATH_PROJECT")
	}
	return c, set.Project, nil
}

// missing is the error of an app that this binary does not have.
func missing(command string) error {
	return towpath.E(towpath.KindUnavailable, "", "this build of towpath has no %s", command).
		WithHint("use the released binary")
}

// sayPart is [session.say] without the end of the line.
func (s *session) sayPart(format string, args ...any) {
	_, _ = io.WriteString(s.stderr, s.style.clean(fmt.Sprintf(s.style.lines(format), args...)))
}

// sayPage prints a page as progress.
func (s *session) sayPage(p *page) { _, _ = io.WriteString(s.stderr, p.String()) }

// styled is the style of a page for w.
func (s *session) styled(w io.Writer) style { return style{on: s.colour(w), key: s.style.key} }
