// Command api is the shop's API: it greets, and says its version.
package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os"

	"github.com/towpath/towpath/examples/shop/server"
)

func main() {
	s, err := server.New("api")
	if err == nil {
		err = s.Run(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "%s from api %s\n", cmp.Or(os.Getenv("GREETING"), "hello"), s.Version)
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}
