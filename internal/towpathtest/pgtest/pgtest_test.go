package pgtest

import (
	"database/sql"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestNew(t *testing.T) {
	t.Run("gives each test a database of its own", func(t *testing.T) {
		a, b := open(t, New(t)), open(t, New(t))
		if _, err := a.Exec("CREATE TABLE mine (n BIGINT)"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Exec("SELECT * FROM mine"); err == nil {
			t.Fatal("the table of one database is seen in the other")
		}
	})
	t.Run("copies a template that is filled once", func(t *testing.T) {
		filled := 0
		fill := func(url string) error {
			filled++
			db, err := sql.Open("pgx", url)
			if err != nil {
				return err
			}
			defer func() { _ = db.Close() }()
			_, err = db.Exec("CREATE TABLE ours (n BIGINT)")
			return err
		}
		for range 2 {
			if _, err := open(t, NewFrom(t, "ours", fill)).Exec("INSERT INTO ours VALUES (1)"); err != nil {
				t.Fatal(err)
			}
		}
		if filled != 1 {
			t.Fatalf("filled %d times", filled)
		}
	})
}

func TestFindBinaries(t *testing.T) {
	t.Run("are found where PATH is empty", func(t *testing.T) {
		t.Setenv("PATH", "")
		if _, _, err := findBinaries(); err != nil && !strings.Contains(err.Error(), "apt-get install postgresql") {
			t.Fatalf("the error does not name the package: %v", err)
		}
	})
}

// TestServer_Death starts a test process of this package, kills it, and looks
// for what it leaves.
func TestServer_Death(t *testing.T) {
	const marker = "TOWPATH_PGTEST_VICTIM"
	if os.Getenv(marker) != "" {
		New(t)
		println(shared.server.dir)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServer_Death$")
	cmd.Env = append(os.Environ(), marker+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1024)
	n, err := stderr.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(buf[:n]))
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the victim's server is not where it says: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	deadline := time.Now().Add(20 * time.Second)
	for {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return // the keeper removes it last
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", dir)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
