// Command gendoc writes the table of error codes as a page of documentation.
package main

import (
	"fmt"
	"os"

	"github.com/zerotouch-dps/dps/internal/apierror"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendoc FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(apierror.Document()), 0o644); err != nil { //nolint:gosec // a page of documentation
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
