'use strict';
(() => {
  // Tables: a header sorts by its column, and once more the other way round.
  const value = (row, column) => {
    const cell = row.cells[column];
    return 'v' in cell.dataset ? Number(cell.dataset.v) : cell.textContent.trim();
  };
  const compare = (a, b) => typeof a === 'number' && typeof b === 'number'
    ? (Number.isNaN(a) - Number.isNaN(b)) || a - b
    : String(a).localeCompare(String(b), 'en', {numeric: true});
  const missing = (row, column) => row.cells[column].textContent === '–';
  for (const table of document.querySelectorAll('table.sortable')) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => header.querySelector('button').addEventListener('click', () => {
      const first = header.classList.contains('n') ? 'descending' : 'ascending';
      const other = first === 'ascending' ? 'descending' : 'ascending';
      const order = header.getAttribute('aria-sort') === first ? other : first;
      headers.forEach(each => each.setAttribute('aria-sort', each === header ? order : 'none'));
      const sign = order === 'ascending' ? 1 : -1, body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) =>
        (missing(a, column) - missing(b, column)) || sign * compare(value(a, column), value(b, column))));
    }));
  }

  // A module that is pointed at stands out in all pictures and tables; a click holds it.
  let held = null;
  const same = (element, pick) => pick && (pick.module !== undefined
    ? element.dataset.m === pick.module
    : element.dataset.i === pick.line && element.closest('figure') === pick.figure);
  const show = pick => {
    for (const element of document.querySelectorAll('[data-m], [data-i]'))
      element.classList.toggle('on', Boolean(same(element, pick)));
    for (const figure of document.querySelectorAll('figure'))
      figure.classList.toggle('picked', Boolean(pick && figure.querySelector('.line.on')));
  };
  const pickOf = element => element.dataset.m !== undefined
    ? {module: element.dataset.m}
    : {line: element.dataset.i, figure: element.closest('figure')};
  for (const button of document.querySelectorAll('.legend button')) {
    button.addEventListener('pointerenter', () => show(pickOf(button)));
    button.addEventListener('pointerleave', () => show(held));
    button.addEventListener('focus', () => show(pickOf(button)));
    button.addEventListener('blur', () => show(held));
    button.addEventListener('click', () => {
      held = held && same(button, held) ? null : pickOf(button);
      show(held);
    });
  }

  // Reading a chart: the nearest point of the nearest line.
  const tip = document.getElementById('tip');
  const points = path => path.points ||= [...path.getAttribute('d').matchAll(/[ML]([-\d.]+) ([-\d.]+)/g)]
    .map(match => [Number(match[1]), Number(match[2])]);
  const digits = number => Number(number.toPrecision(4)).toString();
  const nearest = (svg, x, y) => {
    let best = null;
    for (const path of svg.querySelectorAll('.line')) {
      const list = points(path);
      let low = 0, high = list.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (list[middle][0] < x) low = middle + 1; else high = middle;
      }
      for (const point of list.slice(Math.max(0, low - 1), low + 1)) {
        const distance = Math.hypot(2 * (point[0] - x), point[1] - y);
        if (!best || distance < best.distance) best = {distance, point, path};
      }
    }
    return best;
  };
  const hide = svg => {
    tip.hidden = true;
    svg.querySelector('.cross')?.remove();
  };
  for (const svg of document.querySelectorAll('svg[data-box]')) {
    const [left, right, bottom, top] = svg.dataset.box.split(' ').map(Number);
    const [x0, x1, y0, y1] = ['x0', 'x1', 'y0', 'y1'].map(name => Number(svg.dataset[name]));
    const log = svg.dataset.log === '1';
    const xOf = place => x0 + (place - left) / (right - left) * (x1 - x0);
    const yOf = place => {
      const part = (place - bottom) / (top - bottom);
      return log ? y0 * (y1 / y0) ** part : y0 + part * (y1 - y0);
    };
    svg.addEventListener('pointerleave', () => hide(svg));
    svg.addEventListener('pointermove', event => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const found = nearest(svg, at.x, at.y);
      hide(svg);
      if (!found) return;
      const cross = document.createElementNS(svg.namespaceURI, 'path');
      cross.setAttribute('class', 'cross');
      cross.setAttribute('d', `M${found.point[0]} ${bottom}V${top}M${left} ${found.point[1]}H${right}`);
      svg.append(cross);
      tip.textContent = `${found.path.textContent}: ${digits(yOf(found.point[1]))} at step ${digits(xOf(found.point[0]))}`;
      tip.hidden = false;
      const width = tip.offsetWidth, height = tip.offsetHeight;
      tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 4))}px`;
      tip.style.top = `${event.clientY > height + 24 ? event.clientY - height - 14 : event.clientY + 18}px`;
    });
  }

  // On paper everything is open.
  addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(each => { each.open = true; }));
})();
