/* On a narrow screen, equations that are too wide become smaller, and the caption of a figure that scrolls says so. */
"use strict";

(() => {
  const SMALLEST = 0.7;  // of the usual size; wider equations scroll

  function fitEquations() {
    for (const equation of document.querySelectorAll("div.math mjx-container")) {
      equation.style.fontSize = "";
      const size = parseFloat(getComputedStyle(equation).fontSize), room = equation.clientWidth;
      const wide = equation.querySelector("svg")?.getBoundingClientRect().width || 0;
      if (wide > room && room > 0) equation.style.fontSize = `${size * Math.max(SMALLEST, 0.99 * room / wide)}px`;
    }
  }

  function markScrolling() {
    for (const figure of document.querySelectorAll("main figure")) {
      const box = figure.closest(".cell_output") || figure;
      figure.classList.toggle("scrolls", box.clientWidth > 0 && box.scrollWidth > box.clientWidth + 3);
    }
  }

  addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    const fit = () => { fitEquations(); markScrolling(); };
    fit();
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return;  // the bar of a phone's browser came or went
      width = innerWidth;
      fit();
    });
  });
})();
