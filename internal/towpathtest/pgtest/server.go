package pgtest

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running PostgreSQL.
type server struct {
	dir  string    // data and socket
	user string    // who runs it and is its superuser
	life io.Closer // its end is the server's end
}

// keeper runs the server for as long as its standard input is open, that is as
// long as the test process lives however it dies, and leaves nothing behind. A
// signal on the parent's death would not remove the directory, and is sent on
// the death of the parent's *thread*.
const keeper = `
"$1" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
	-c max_connections=300 -c shared_buffers=64MB -c max_wal_size=1GB -c autovacuum_naptime=10s </dev/null &
pid=$!
read -r _
kill -QUIT $pid
wait $pid
rm -rf "$2"
`

// startServer makes a cluster in a new directory and starts it.
func startServer() (*server, error) {
	initdb, postgres, err := findBinaries()
	if err != nil {
		return nil, err
	}
	name, credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := newDir(credential)
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, user: name}
	attr := &syscall.SysProcAttr{Credential: credential, Setsid: true} // Ctrl-C must not reach the keeper
	cmd := exec.Command(initdb, "-D", filepath.Join(dir, "data"), "-U", name, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.SysProcAttr, cmd.Dir, cmd.Env = attr, dir, environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := s.run(postgres, attr); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, s.await()
}

func (s *server) run(postgres string, attr *syscall.SysProcAttr) error {
	log, err := os.Create(s.log())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("/bin/sh", "-c", keeper, "keeper", postgres, s.dir)
	cmd.SysProcAttr, cmd.Dir, cmd.Env = attr, s.dir, environment()
	cmd.Stdout, cmd.Stderr = log, log
	if s.life, err = cmd.StdinPipe(); err != nil {
		return err
	}
	return cmd.Start()
}

// await returns when the server answers.
func (s *server) await() error {
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := db.Ping()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(s.log())
			return errors.Join(fmt.Errorf("PostgreSQL did not start: %w\n%s", err, log), s.life.Close())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *server) log() string { return filepath.Join(s.dir, "log") }

// url is the URL of a database on the server.
func (s *server) url(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=%s&sslmode=disable", database, s.dir, s.user)
}

// findBinaries finds initdb and postgres of one version, the newest outside of
// PATH.
func findBinaries() (initdb, postgres string, err error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", "", err
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), dirs...) {
		initdb, postgres = filepath.Join(dir, "initdb"), filepath.Join(dir, "postgres")
		if executable(initdb) && executable(postgres) {
			return initdb, postgres, nil
		}
	}
	return "", "", errors.New("neither PATH nor /usr/lib/postgresql/*/bin has initdb and postgres; " +
		"on Debian and Ubuntu run: apt-get install postgresql")
}

func version(binDir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(binDir)))
	return n
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// unprivileged is the user to run the server as: PostgreSQL refuses root. The
// credential is nil when the present user will do.
func unprivileged() (name string, credential *syscall.Credential, err error) {
	if os.Geteuid() != 0 {
		return "towpath", nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errU, errG); err != nil {
			return "", nil, err
		}
		return "towpath", &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return "", nil, errors.New("PostgreSQL does not run as root, and the machine has neither the user postgres nor nobody")
}

// newDir is a directory that the server's user owns. Its path is short: that
// of a Unix socket has at most 107 bytes.
func newDir(credential *syscall.Credential) (string, error) {
	parent := os.TempDir()
	if len(parent) > 60 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "towpath-pg-")
	if err != nil || credential == nil {
		return dir, err
	}
	if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return "", err
	}
	return dir, nil
}

// environment is that of the test less what would steer PostgreSQL.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "PG") })
}
