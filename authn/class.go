package authn

import (
	"errors"
	"strconv"
)

// Class is what sort of principal a user is. The set is closed, and the names of each class are a namespace apart.
type Class uint8

const (
	ClassPerson   Class = iota // somebody who can be asked
	ClassDevice                // a machine that people may sign on above
	ClassWorkload              // a program: nobody ever signs on above it, and nothing that is for people is for it
)

// classes are the names of the classes. The values are stable.
var classes = [...]string{ClassPerson: "person", ClassDevice: "device", ClassWorkload: "workload"}

// Known reports whether c is one of the set. Any other is nobody's.
func (c Class) Known() bool { return int(c) < len(classes) }

// String is the name of the class: person, device or workload.
func (c Class) String() string {
	if !c.Known() {
		return "class " + strconv.Itoa(int(c))
	}
	return classes[c]
}

var errClass = errors.New("authn: no such class")

// MarshalJSON writes true for a device, as records have had it since before there were workloads, and otherwise the name.
// In a record of a person the class is left out.
func (c Class) MarshalJSON() ([]byte, error) {
	switch {
	case c == ClassDevice:
		return []byte("true"), nil
	case c.Known():
		return []byte(strconv.Quote(c.String())), nil
	}
	return nil, errClass
}

// UnmarshalJSON reads what MarshalJSON writes, and false for a person. Anything else is an error.
func (c *Class) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "false", `"person"`:
		*c = ClassPerson
	case "true":
		*c = ClassDevice
	case `"workload"`:
		*c = ClassWorkload
	default:
		return errClass
	}
	return nil
}
