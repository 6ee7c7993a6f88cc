package cli

import (
	"bytes"
	"os"

	"golang.org/x/term"

	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// password is that of a key: from the environment, or a person types it. Where
// neither is to be had it is empty, which some keys of cosign's have.
func (s *session) password() ([]byte, error) {
	if p := s.env(signing.PasswordEnv); p != "" {
		return []byte(p), nil
	}
	if !s.interactive() {
		return nil, nil
	}
	return s.ask("password of the key")
}

// newPassword is that of a new key, typed twice.
func (s *session) newPassword() ([]byte, error) {
	if p := s.env(signing.PasswordEnv); p != "" {
		return []byte(p), nil
	}
	if !s.interactive() {
		return nil, towpath.E(towpath.KindInvalid, "", "the key needs a password, and nobody is there to ask").
			WithHint("set %s", signing.PasswordEnv)
	}
	first, err := s.ask("new password of the key")
	if err != nil {
		return nil, err
	}
	again, err := s.ask("the same again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, again) {
		return nil, towpath.E(towpath.KindInvalid, "", "the passwords differ; nothing was written")
	}
	return first, nil
}

// ask reads a line from the terminal without showing it. The terminal is made
// to show what is typed again, also when the command is interrupted.
func (s *session) ask(what string) ([]byte, error) {
	tty, ok := s.stdin.(*os.File)
	if !ok {
		return nil, towpath.E(towpath.KindInternal, "", "a password was asked for without a terminal")
	}
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return nil, err
	}
	type answer struct {
		line []byte
		err  error
	}
	typed := make(chan answer, 1)
	s.sayPart("%s: ", what)
	go func() {
		line, err := term.ReadPassword(int(tty.Fd()))
		typed <- answer{line, err}
	}()
	defer s.say("")
	select {
	case <-s.ctx.Done():
		_ = term.Restore(int(tty.Fd()), before) // the command ends either way
		return nil, s.ctx.Err()
	case a := <-typed:
		return a.line, a.err
	}
}
