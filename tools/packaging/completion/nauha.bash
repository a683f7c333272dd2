# SPDX-License-Identifier: MIT
# Completion of nauha for bash; "nauha complete" knows what there is.
_nauha() {
    local IFS=$'\n' rest=${COMP_LINE:0:COMP_POINT} words=() word line cur i
    # Bash breaks words at : and =, which stand in SPECs: put them together again.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $rest == [[:blank:]]* || $i == 0 ]]; then
            rest=${rest#"${rest%%[![:blank:]]*}"}
            words+=("")
        fi
        [[ $i != "$COMP_CWORD" ]] || word=$rest
        rest=${rest#"$word"}
        word=${word//[\"\'\\]/}
        words[${#words[@]} - 1]+=$word
    done
    cur=${words[${#words[@]} - 1]}
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        ":files "*) COMPREPLY+=($(compgen -f -X "!*.${line#:files }" -- "$cur") $(compgen -d -- "$cur"))
            compopt -o filenames 2>/dev/null ;;
        :files) COMPREPLY+=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null ;;
        :directories) COMPREPLY+=($(compgen -d -- "$cur")); compopt -o filenames 2>/dev/null ;;
        *)  # "(root)" means something to bash, unless it stands in quotes.
            word=${line%%$'\t'*}
            [[ ${COMP_WORDS[COMP_CWORD]} == *[\"\'\\]* ]] || { word=${word//\(/\\(}; word=${word//\)/\\)}; }
            COMPREPLY+=("$word") ;;
        esac
    done < <("${COMP_WORDS[0]}" complete -- "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} != 1 || $COMPREPLY != *[:=] ]] || compopt -o nospace 2>/dev/null
    # What stands before the last : or = is there already.
    if [[ $cur == *[:=]* && $COMP_WORDBREAKS == *:* ]]; then
        word=${cur%"${cur##*[:=]}"}
        COMPREPLY=("${COMPREPLY[@]#"$word"}")
    fi
}
complete -F _nauha nauha
