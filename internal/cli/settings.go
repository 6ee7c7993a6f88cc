package cli

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"

	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/towpath"
)

// clientFile is where a project's client finds its server, below the project's
// folder.
const clientFile = ".towpath/client.json"

// Where a server and an agent keep their data unless they are told otherwise.
const (
	serverData = "/var/lib/towpath"
	agentData  = "/var/lib/towpath-agent"
)

// projectFile is the file that makes a folder a project.
const projectFile = "towpath.yaml"

// ClientFile says which server to talk to, as whom, about what.
type ClientFile struct {
	URL     string              `json:"url"`
	Token   string              `json:"token,omitempty"`
	Project towpath.ProjectName `json:"project,omitempty"`
}

// Save writes the file for the project in dir, readable by its owner only.
func (f ClientFile) Save(dir string) error {
	path := filepath.Join(dir, clientFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".client-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(append(b, '\n'))
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// settings are flags, then environment, then files upward from the folder.
func (s *session) settings() (ClientFile, error) {
	set := ClientFile{URL: s.flags.url, Token: s.flags.token, Project: towpath.ProjectName(s.flags.project)}
	or := func(v *string, other string) {
		if *v == "" {
			*v = other
		}
	}
	project := string(set.Project)
	or(&set.URL, s.env("TOWPATH_URL"))
	or(&set.Token, s.env("TOWPATH_TOKEN"))
	or(&project, s.env("TOWPATH_PROJECT"))
	or(&project, s.projectOfFile())
	if path := s.upward(clientFile); path != "" {
		file, err := s.readClientFile(path)
		if err != nil {
			return set, err
		}
		// A token goes to the server that it was kept for, to no other. One that was
		// given goes to no other machine that only a file names: checkouts bring files.
		if set.URL == "" && set.Token != "" && set.Token != file.Token && file.URL != "" && !here(file.URL) {
			return set, towpath.E(towpath.KindInvalid, "", "the token of --token or TOWPATH_TOKEN is not sent to %s, which only %s names", file.URL, path).
				WithHint("if that is the server, give --url or TOWPATH_URL too")
		}
		if set.URL == "" || set.URL == file.URL {
			or(&set.Token, file.Token)
		}
		or(&set.URL, file.URL)
		or(&project, string(file.Project))
	}
	set.Project = towpath.ProjectName(project)
	return set, nil
}

// here reports whether a URL is of this machine.
func here(address string) bool {
	u, err := url.Parse(address)
	return err == nil && loopback.Host(u.Host)
}

func (s *session) readClientFile(path string) (f ClientFile, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return f, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return f, towpath.E(towpath.KindInvalid, "", "%s can't be read", path).WithCause(err)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		// The cause is left out: it may quote the file.
		return f, towpath.E(towpath.KindInvalid, "", "%s is not valid JSON", path).
			WithHint(`it reads {"url": "…", "token": "…", "project": "…"}; towpath dev writes it`)
	}
	if f.Token != "" && info.Mode().Perm()&0o077 != 0 && !s.warned {
		s.warned = true
		s.say("%s others can read the token in %s; run: chmod 600 %s", s.style.warn("warning:"), path, path)
	}
	return f, nil
}

var projectLine = regexp.MustCompile(`(?m)^project:[ \t]*["']?([a-z][a-z0-9-]*)["']?[ \t]*(?:#.*)?\r?$`)

// projectOfFile is the name that the nearest towpath.yaml gives. It is not
// validated here: that is the builder's work.
func (s *session) projectOfFile() string {
	path := s.upward(projectFile)
	if path == "" {
		return ""
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	if m := projectLine.FindSubmatch(b); m != nil {
		return string(m[1])
	}
	return ""
}

// upward is the path of name in the folder of the command or the nearest one
// above it; empty when there is none.
func (s *session) upward(name string) string {
	dir, err := filepath.Abs(s.flags.dir)
	if err != nil {
		return ""
	}
	for {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		} else if !errors.Is(err, fs.ErrNotExist) {
			return ""
		}
		above := filepath.Dir(dir)
		if above == dir {
			return ""
		}
		dir = above
	}
}
