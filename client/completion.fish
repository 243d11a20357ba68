# Whether $argv[1] is the command that the line has; "": it has none yet.
function __ktlsctl_in
	set -l words (commandline -opc)
	set -e words[1]
	while string match -q -- '-*' $words[1]
		__ktlsctl_valued $words[1]; and set -e words[1]
		set -e words[1]
	end
	test "$words[1]" = "$argv[1]"
end

# What may come next where another command line follows "--".
function __ktlsctl_another
	set -l words (commandline -opc)
	set -l first (math 1 + (contains -i -- -- $words))
	complete -C (string join -- ' ' (string escape -- $words[$first..]) (commandline -ct))
end

complete -c ktlsctl -f
