# Sets value to that of the option $1, which is its words, if it takes one.
_ktlsctl_value()
{
	[[ " $row" == *" $1="* ]] || return
	value=${row#*" $1="}
	value=${value%% *}
}

_ktlsctl_fill()
{
	mapfile -t COMPREPLY < <(compgen "$@" -- "$cur")
}

_ktlsctl_files()
{
	compopt -o filenames 2> /dev/null
	_ktlsctl_fill -f
}

# The word after "--" is a program, those behind it are its own.
_ktlsctl_another()
{
	[[ $row == *' --' ]] || return
	if (($1 == COMP_CWORD)); then
		_ktlsctl_fill -c
	else
		_ktlsctl_files
	fi
}

_ktlsctl_of_option()
{
	if [[ $value == '<file>' ]]; then
		_ktlsctl_files
	else
		_ktlsctl_fill -W "${value//,/ }"
	fi
}

# Options where one was begun, else the words of an operand.
_ktlsctl_of_row()
{
	local word words=

	for word in ${row% --}; do
		case $cur/$word in
		-*/-* | [!-]*/[!-]* | /[!-]*) words+=" ${word%%=*}" ;;
		esac
	done
	_ktlsctl_fill -W "$words"
}

# COMP_WORDS has "=" as a word of its own.
_ktlsctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} command= row value word i

	COMPREPLY=()
	[[ $cur != = ]] || cur=
	_ktlsctl_row
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == -- ]]; then
			_ktlsctl_another $((i + 1))
			return
		elif [[ $word == -* ]]; then
			_ktlsctl_value "$word" || continue
			((i++))
			[[ ${COMP_WORDS[i]} != = ]] || ((i++))
			if ((i >= COMP_CWORD)); then
				_ktlsctl_of_option
				return
			fi
		elif [[ ! $command ]]; then
			command=$word
			_ktlsctl_row "$command"
		fi
	done
	_ktlsctl_of_row
}

complete -F _ktlsctl ktlsctl
