package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // accounts
	_ "modernc.org/sqlite"             // orders
)

// services are the programs, by kind: each makes its handler from what its
// recording has prepared.
var services = map[string]func(world string) (http.Handler, error){
	"orders":     newOrders,
	"accounts":   newAccounts,
	"thumbnails": newThumbnails,
	"gateway":    newGateway,
	"dependency": newDependency, // of gateway
}

// prepare makes what the instances of both revisions share, and says where it is.
func (r recording) prepare(ctx context.Context) (world string, err error) {
	switch r.kind {
	case "orders":
		world = "file:" + filepath.Join(r.dir, "orders.db") + "?_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=busy_timeout(120)&_txlock=immediate"
		return world, prepareOrders(ctx, world)
	case "accounts":
		return r.postgres, prepareAccounts(ctx, r.postgres)
	case "gateway":
		return runDependency(ctx)
	default:
		return "", nil
	}
}

// start starts a process that serves, until ctx or this process ends, and returns
// its address.
func start(ctx context.Context, kind, world string) (address string, err error) {
	return startAt(ctx, "127.0.0.1:0", kind, world)
}

func startAt(ctx context.Context, listen, kind, world string) (address string, err error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, exe, "serve", listen, kind+" "+world)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	if kind == "thumbnails" {
		cmd.Env = append(os.Environ(), "GOGC=25", "GOMEMLIMIT=96MiB")
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", err
	}
	go func() { _ = cmd.Wait() }()
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s says no address: %w", kind, err)
	}
	return strings.TrimSpace(said), nil
}

// serve is an instance.
func serve(ctx context.Context, listen, what string) error {
	kind, world, _ := strings.Cut(what, " ")
	handler, err := services[kind](world)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	return server.Serve(ln)
}

// answer says how it went.
func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, strings.Repeat("x", 512))
}

// inTx runs work in a transaction.
func inTx(ctx context.Context, db *sql.DB, level sql.IsolationLevel, work func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}
