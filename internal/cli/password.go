package cli

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

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
	typed, err := s.ask("password of the key")
	if err != nil {
		return nil, err
	}
	return typed[0], nil
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
	typed, err := s.ask("new password of the key", "the same again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(typed[0], typed[1]) {
		return nil, towpath.E(towpath.KindInvalid, "", "the passwords differ; nothing was written")
	}
	return typed[0], nil
}

// ask reads a line of the terminal for each question. The terminal shows nothing
// of what is typed from before the first question, so that not even a fast hand is
// seen, until after the last answer or when the command is interrupted. Then half
// a password may have been typed, which is thrown away: a shell must not read it.
func (s *session) ask(questions ...string) (answers [][]byte, err error) {
	tty, ok := s.stdin.(*os.File)
	if !ok {
		return nil, towpath.E(towpath.KindInternal, "", "a password was asked for without a terminal")
	}
	show, err := hideTyping(int(tty.Fd()))
	if err != nil {
		return nil, err
	}
	defer func() { show(err != nil) }()
	keyboard := bufio.NewReader(tty)
	for _, question := range questions {
		line, err := s.hiddenLine(keyboard, question)
		if err != nil {
			return nil, err
		}
		answers = append(answers, line)
	}
	return answers, nil
}

// hiddenLine is one answer, without its end. Its reader is left behind when the
// command is interrupted, which ends the program.
func (s *session) hiddenLine(keyboard *bufio.Reader, question string) ([]byte, error) {
	type answer struct {
		line []byte
		err  error
	}
	typed := make(chan answer, 1)
	s.sayPart("%s: ", question)
	defer s.say("")
	go func() {
		line, err := keyboard.ReadBytes('\n')
		typed <- answer{bytes.TrimSuffix(line, []byte("\n")), err}
	}()
	select {
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	case a := <-typed:
		if errors.Is(a.err, io.EOF) {
			return nil, towpath.E(towpath.KindInvalid, "", "no password was typed: the input ended")
		}
		return a.line, a.err
	}
}

// hideTyping stops the terminal from showing what is typed, until show is called,
// which also forgets what was typed and not read.
func hideTyping(tty int) (show func(forget bool), err error) {
	before, err := unix.IoctlGetTermios(tty, getTermios)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG // lines, and ^C is heeded
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(tty, setTermios, &hidden); err != nil {
		return nil, err
	}
	return func(forget bool) {
		request := uint(setTermios)
		if forget {
			request = flushTermios
		}
		_ = unix.IoctlSetTermios(tty, request, before)
	}, nil
}
