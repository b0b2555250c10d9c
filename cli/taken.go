package cli

import (
	"errors"
	"net/http"

	"github.com/zerotouch-dps/dps/client"
)

// taken says of a resource that was to be made, and exists already, which command changes it;
// the server's message is for those who send headers.
func taken(err error, kind, name, change string) error {
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || refused.Status != http.StatusConflict {
		return err
	}
	switch refused.Code {
	case "alreadyExists", "enrollmentExists", "groupExists":
		clear := *refused
		clear.Message = kind + " " + name + " exists already; " + change
		return &clear
	}
	return err
}
