package cli

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// Main runs one command line, without the program's name, and returns its exit
// code. Cancel ctx to interrupt it. env reads the environment, as [os.Getenv].
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string, apps Apps) (exit int) {
	s := newSession(stdin, stdout, stderr, env, apps)
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	defer s.close()
	if s.ctx != nil {
		ctx = s.ctx // with the time limit that was asked for
	}
	code := exitCode(ctx, err)
	s.report(code, err)
	return code
}

// report prints an error: what, and what to do. Its cause stays where it is
// known to be free of secrets: in the server's log.
func (s *session) report(code int, err error) {
	var o outcome
	switch {
	case err == nil || errors.As(err, &o):
	case code == ExitTimeout:
		hint := ""
		if s.connection != nil {
			hint = "what the server was asked to do goes on; look with: towpath status"
		}
		s.complain("the command did not end within --timeout "+s.flags.timeout.String(), hint, "")
	case code == ExitInterrupted:
		s.complain("interrupted", "", "")
	default:
		message, hint, request := describe(err)
		s.complain(message, hint, request)
	}
}

// describe is what a user sees of an error.
func describe(err error) (message, hint, request string) {
	var known *towpath.Error
	if !errors.As(err, &known) {
		return strings.TrimSpace(err.Error()), "", ""
	}
	message, hint = towpath.PublicMessage(err)
	request = known.Fields[api.FieldRequestID]
	if request == "" && known.Cause != nil { // of this process, not of a server
		message += ": " + innermost(known.Cause).Error()
	}
	return message, hint, request
}

// innermost is what an error of this process began with. What lies between says in
// other words what its message says.
func innermost(err error) error {
	var inner *towpath.Error
	for errors.As(err, &inner) && inner.Cause != nil {
		err = inner.Cause
	}
	return err
}

func (s *session) complain(message, hint, request string) {
	s.say("%s %s", s.style.bad("error:"), s.style.lines(message)) // which may have several
	if hint != "" {
		s.say("%s %s", s.style.note("hint:"), hint)
	}
	if request != "" {
		s.say("%s %s", s.style.dim("request:"), request)
	}
}
