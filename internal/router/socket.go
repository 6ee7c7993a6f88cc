package router

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names in the router's folder.
const (
	socketFile  = "router.sock"
	addressFile = "router.addr" // the socket's path, when it is not in the folder
	lockFile    = "router.lock"
	logFile     = "router.log"
)

// maxSocketPath is below the 108 bytes that Linux gives sun_path.
const maxSocketPath = 100

// socketPath is where the router of a folder listens for control, as its
// clients find it.
func socketPath(dir string) (string, error) {
	p := filepath.Join(dir, socketFile)
	if len(p) <= maxSocketPath {
		return p, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// chooseSocket is socketPath for the router itself: where the folder's path is
// too long for a socket it makes a private folder under the system's temporary
// one and records it.
func chooseSocket(dir string) (string, error) {
	p, err := socketPath(dir)
	if err == nil {
		if _, serr := os.Stat(filepath.Dir(p)); serr == nil {
			return p, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	tmp, err := os.MkdirTemp("/tmp", "towpath-") // os.TempDir may be as deep as dir
	if err != nil {
		return "", err
	}
	p = filepath.Join(tmp, socketFile)
	return p, replaceFile(filepath.Join(dir, addressFile), []byte(p+"\n"))
}
