// Package peertest gives tests other people's registries: real ones, each built
// once from its module, kept in the user's cache folder under its version, and
// run on loopback as a process of its own. They are peers to be measured beside
// and places outside of ours to copy to; nothing of them is linked.
package peertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Peer is a registry that somebody else wrote.
type Peer struct {
	Name    string
	Version string
	module  string
	main    string // the package in it
	// command is how it is run over a data folder, on a port of the system; it
	// may write what it needs into another folder.
	command func(data, config string) (args, env []string, err error)
}

// Distribution is the registry of the CNCF, which runs the most registries that
// there are. It serves no referrers.
func Distribution() Peer {
	return Peer{
		Name: "distribution", Version: "v3.1.2", module: "github.com/distribution/distribution/v3", main: "./cmd/registry", command: distribution,
	}
}

// distribution runs with the settings that it is shipped with: files, and a
// cache of descriptors in memory. What it says of each request is turned off.
func distribution(data, config string) (args, env []string, err error) {
	path := filepath.Join(config, "registry.yml")
	err = os.WriteFile(path, fmt.Appendf(nil, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  cache: {blobdescriptor: inmemory}
  delete: {enabled: true}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: "127.0.0.1:0", secret: peertest}
`, data), 0o600)
	return []string{"serve", path}, []string{"OTEL_TRACES_EXPORTER=none"}, err
}

// Olareg is a small registry that serves the whole of OCI 1.1. Of referrers of
// one subject that are pushed at once it loses some: push them one by one.
func Olareg() Peer {
	return Peer{Name: "olareg", Version: "v0.2.2", module: "github.com/olareg/olareg", main: "./cmd/olareg", command: olareg}
}

func olareg(data, _ string) (args, env []string, err error) {
	return []string{
		"serve", "--addr", "127.0.0.1", "--port", "0", "--dir", data, "--api-delete", "--api-blob-delete", "--gc-frequency", "-1s",
	}, nil, nil
}

// Registry is a peer that runs.
type Registry struct {
	URL  string // http://127.0.0.1:PORT
	Data string // the folder that it keeps everything in
	PID  int

	stop func()
}

// patience is how long a peer may take to serve.
const patience = 30 * time.Second

// Start finds or builds a peer and runs it over an empty folder until the test
// ends. Building takes up to three minutes of processor time and needs the
// module proxy; what was built is kept.
func Start(t testing.TB, p Peer) *Registry {
	t.Helper()
	return StartIn(t, p, t.TempDir())
}

// StartIn is [Start] over a folder of the caller's.
func StartIn(t testing.TB, p Peer, data string) *Registry {
	t.Helper()
	bin := find(t, p)
	args, env, err := p.command(data, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(bin, args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	r := &Registry{Data: data, PID: cmd.Process.Pid, stop: sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-ended
	})}
	t.Cleanup(r.stop)
	if r.URL, err = serving(t.Context(), r.PID, ended); err != nil {
		r.stop()
		t.Fatalf("%s does not serve: %v\n%s", p.Name, err, said.Bytes())
	}
	return r
}

// Stop ends the registry as kill -9 does, before the test ends.
func (r *Registry) Stop() { r.stop() }

// serving waits until a process answers HTTP, and returns where.
func serving(ctx context.Context, pid int, ended <-chan struct{}) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		if port, ok := listening(pid); ok {
			url := fmt.Sprintf("http://127.0.0.1:%d", port)
			if err := answers(ctx, url); err == nil {
				return url, nil
			}
		}
		select {
		case <-look.C:
		case <-ended:
			return "", errors.New("it ended")
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v2/", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
